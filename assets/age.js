// The question for the visitor's age, where a site protects minors (REQUIREMENTS F4, B12): a dialog of its own, with nothing
// in it of what is consented to.

/** @param {import('./types').Kernel} k @param {string} html @param {{guardian: string, copied: string}} words */
export default function (k, html, words) {
  const doc = document
  k.j = (fields, surface, show) => new Promise((done, fail) => {
    const host = doc.createElement('stile-dialog')
    host.innerHTML = k.t.createHTML(html)
    const dialog = /** @type {HTMLDialogElement} */ (host.firstElementChild)
    // No destructuring here: the minifier moves it before the const that it reads.
    const form = /** @type {any} */ (dialog.firstElementChild)
    const told = /** @type {any} */ (dialog.lastElementChild)
    doc.body.append(host)
    dialog.showModal()
    dialog.addEventListener('close', () => {
      host.remove()
      fail(new DOMException('stile: the age was not told, nothing was chosen', 'AbortError')) // does nothing where it was
    })
    dialog.addEventListener('click', event => {
      const value = /** @type {HTMLElement} */ (event.target).closest('button')?.value
      const link = told.querySelector('input')
      if (value == 'close') dialog.close()
      if (value == 'copy') {
        link.select()
        navigator.clipboard?.writeText(link.value).then(() => { told.querySelector('span').textContent = words.copied })
      }
    })
    /** @param {string} age */
    const tell = age => {
      const sent = /** @type {Promise<any>} */ (k.p?.([...fields, ['age', age]], surface, undefined, show))
      sent.then(answer => done(answer.choice || answer), fail)
      if (age == 'older') return dialog.close()
      form.hidden = true
      told.hidden = false
      dialog.setAttribute('aria-labelledby', 'stile-minor')
      told.querySelector('[value=close]').focus()
      sent.then(answer => {
        if (!answer.guardian) return
        const part = told.querySelector('.a')
        part.querySelector('p').textContent = words.guardian.replace('{date}', answer.guardian.until)
        part.querySelector('input').value = new URL(answer.guardian.path, k.b).href
        part.hidden = false
      }, () => dialog.close())
    }
    form.addEventListener('submit', (/** @type {SubmitEvent} */ event) => {
      event.preventDefault()
      tell(/** @type {HTMLButtonElement} */ (event.submitter).value)
    })
    // Who has said that they are younger is not asked again: it holds as long as their choice.
    if (k.s.m == 2) tell('younger')
  })
}
