// The preferences dialog: fetched when it is first opened.

/** @param {import('./types').Kernel} k @param {string} html @param {string} css @param {string} notice @param {string[]} words */
export default function (k, html, css, notice, ...words) {
  const doc = document
  k.h = notice
  k.u?.(css)
  k.e = words
  k.d = () => {
    if (doc.querySelector('stile-dialog [open][aria-labelledby]')) return
    const host = doc.createElement('stile-dialog')
    host.innerHTML = k.t.createHTML(html)
    const dialog = /** @type {HTMLDialogElement} */ (host.firstElementChild)
    const form = /** @type {HTMLFormElement} */ (dialog.querySelector('form'))
    for (const box of /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('[name]:not(:disabled)'))) {
      if (box.type == 'checkbox') box.checked = k.a(box.value)
    }
    const status = /** @type {HTMLElement} */ (dialog.querySelector('[role=status]'))
    /** @type {any} the button of the act that is on its way */
    let busy
    let sent = ''
    for (const a of /** @type {NodeListOf<HTMLAnchorElement>} */ (dialog.querySelectorAll('[data-to]'))) {
      const [path, part = ''] = (a.dataset.to || '').split('#')
      a.href = k.b + path + '?lang=' + dialog.lang + (part && '#' + part)
    }
    // A category's toggle is that of all its services; some of them make it a mixed one.
    for (const group of form.querySelectorAll('fieldset')) {
      const [whole] = /** @type {any} */ (group.querySelectorAll('[name=category]'))
      /** @type {any[]} */
      const each = [...group.querySelectorAll('[name=service]')]
      if (!whole || !each[0]) continue
      const mix = () => {
        const on = each.filter(box => box.checked).length
        whole.checked = on > 0
        whole.indeterminate = on > 0 && on < each.length
      }
      group.addEventListener('change', event => {
        if (event.target == whole) for (const box of each) box.checked = whole.checked
        mix()
      })
      mix()
    }
    // The receipt, and what is new since the choice: the one thing here that is this visitor's alone.
    const token = k.c(k.n)
    fetch(k.b + '/receipt?brief=1&lang=' + dialog.lang + (token && '&choice=' + token), { credentials: 'include', headers: { accept: 'application/json' } }).then(r => r.json()).then(own => {
      const [fresh, receipt] = /** @type {any} */ (dialog.querySelectorAll('.w,.r'))
      if (!own.receipt) return
      receipt.querySelector('code').textContent = own.receipt
      receipt.querySelector('time').textContent = own.time.slice(0, 10)
      receipt.hidden = false
      fresh.querySelector('span').textContent = own.new.join(', ')
      fresh.hidden = !own.new[0]
    }).catch(() => 0) // it is told on the page of preferences too
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
      /** @type {any} */
      const button = event.submitter || {}
      if (button.hidden) return // Enter on a toggle
      /** @type {[string, string][]} */
      const fields = button.name == 'accept' ? [['accept', button.value]] :
        /** @type {any} */ ([...new FormData(form)].filter(([key]) => /^(category|services?)$/.test(key)))
      const now = fields + ''
      if (busy && now == sent) return // the same once more
      sent = now
      // It goes at once, and comes back once where saving takes longer; who closes it then is left alone.
      let shown = !!busy
      if (busy) busy.ariaDisabled = null
      else {
        status.textContent = ''
        dialog.close()
        k.y?.()
      }
      busy = button
      button.ariaDisabled = 'true'
      const show = () => {
        if (!shown && !dialog.open) {
          doc.body.append(host)
          dialog.showModal()
          button.focus?.()
        }
        shown = true
      }
      setTimeout(() => k.p?.(fields, 'preferences', undefined, show).then(() => dialog.close(), why => {
        console.error(why)
        show()
      }).finally(() => { busy = button.ariaDisabled = null }))
    })
  }
}
