// What makes the dashboard better where there is script. Every page works without it.

// A filter takes effect when it is changed; without script its button is pressed.
for (const form of document.querySelectorAll('form[data-auto]')) {
  form.addEventListener('change', () => form.requestSubmit())
}
