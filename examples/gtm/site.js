// The container may come now, later or never: what is pushed waits for the visitor's choice, and is dropped by a refusal.
document.getElementById('seats').addEventListener('submit', event => {
  event.preventDefault()
  const people = Number(new FormData(event.target).get('people'))
  event.target.querySelector('output').textContent = `Held: ${people} seats, until tonight.`
  stile.push('gtm', () => dataLayer.push({ event: 'hold_seats', people }))
})
