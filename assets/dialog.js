// The preferences dialog: fetched when it is first opened.

/** @param {import('./types').Kernel} k @param {string} html @param {string} css @param {string} saved @param {string} notice */
export default function (k, html, css, saved, notice) {
  const doc = document
  k.h = notice
  k.u?.(css)
  k.e = saved
  k.d = failed => {
    if (doc.querySelector('stile-dialog [open][aria-labelledby]')) return
    const host = doc.createElement('stile-dialog')
    host.innerHTML = k.t.createHTML(html)
    const dialog = /** @type {HTMLDialogElement} */ (host.firstElementChild)
    const form = /** @type {HTMLFormElement} */ (dialog.querySelector('form'))
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('[name]:not(:disabled)'))) {
      if (box.type == 'checkbox') box.checked = k.a(box.value)
    }
    const status = /** @type {HTMLElement} */ (dialog.querySelector('[role=status]'))
    status.hidden = !failed
    doc.body.append(host)
    dialog.showModal()
    dialog.addEventListener('close', () => host.remove())
    dialog.addEventListener('click', event => {
      const el = /** @type {HTMLElement} */ (event.target)
      // Closing grants nothing (REQUIREMENTS A4).
      if (el == dialog || el.closest('[value=close]')) dialog.close()
    })
    form.addEventListener('submit', event => {
      event.preventDefault()
      if (!dialog.open) return // a second click is of the same act
      const button = /** @type {HTMLButtonElement} */ (event.submitter)
      if (button && button.hidden) return // Enter on a toggle
      /** @type {[string, string][]} */
      const fields = button && button.name == 'accept' ? [['accept', button.value]] :
        /** @type {any} */ ([...new FormData(form)].filter(([key]) => key == 'category' || key == 'service'))
      dialog.close()
      k.y?.()
      setTimeout(() => k.p?.(fields, 'preferences').catch(why => {
        console.error(why)
        k.d?.(true)
      }))
    })
  }
}
