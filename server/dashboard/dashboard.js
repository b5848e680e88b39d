// What makes the dashboard better where there is script. Every page works without it.

// A filter that is chosen by mouse or finger takes effect at once. Who goes through the values by keys passes those that are not
// meant, and presses the button. The focus is afterwards where it was.
for (const form of document.querySelectorAll('form[data-auto]')) {
  const kept = 'filter ' + location.pathname
  let pointed = false
  form.addEventListener('pointerdown', () => { pointed = true })
  form.addEventListener('keydown', () => { pointed = false })
  form.addEventListener('change', event => { if (pointed && event.target.matches('select')) form.requestSubmit() })
  form.addEventListener('submit', () => sessionStorage.setItem(kept, document.activeElement.name ?? ''))
  const name = sessionStorage.getItem(kept)
  sessionStorage.removeItem(kept)
  if (name !== null) (form.elements[name] ?? form.querySelector('button')).focus({ preventScroll: true })
}

// What opened over the page closes by Escape, and by a click beside it.
const open = () => document.querySelectorAll(':is(.means, .sites, .over)[open]')
addEventListener('keydown', event => {
  if (event.key !== 'Escape') return
  for (const details of open()) {
    details.open = false
    if (details.contains(document.activeElement)) details.querySelector('summary').focus()
  }
})
addEventListener('click', event => {
  for (const details of open()) if (!details.contains(event.target)) details.open = false
})

// What goes on is looked at again until it has ended.
async function follow() {
  for (let part; (part = document.querySelector('[data-live]')); ) {
    await new Promise((done) => setTimeout(done, 1000))
    try {
      const answer = await fetch(location.href)
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
      const now = answer.ok && page.getElementById(part.id)
      if (!now) return location.reload()
      part.replaceWith(now)
    } catch {
      // the server is away: it is asked again
    }
  }
}
follow()
