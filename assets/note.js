// A line about a small change of the policy: it asks nothing, and goes away when it was read.

/** @param {import('./types').Kernel} k @param {string} html @param {string} css */
export default function (k, html, css) {
  const doc = document
  k.y?.()
  k.u?.(css)
  k.h = k.s.h
  const host = doc.createElement('stile-note')
  host.innerHTML = k.t.createHTML(html)
  for (const a of host.querySelectorAll('a')) a.href = k.b + a.dataset.to + '?lang=' + k.s.l
  let open = true
  k.y = () => {
    open = false
    host.remove()
  }
  host.addEventListener('click', event => {
    if (!(/** @type {Element} */ (event.target).closest('button'))) return
    k.y?.()
    k.p?.([], 'banner', '/seen').catch(console.error)
  })
  // A focused element of the page is not left under it (WCAG 2.4.11): it goes to the other side.
  doc.addEventListener('focusin', event => {
    const a = /** @type {Element} */ (event.target).getBoundingClientRect(), b = host.getBoundingClientRect()
    if (open && !host.contains(/** @type {Node} */ (event.target)) && a.bottom > b.top && a.top < b.bottom) host.classList.toggle('f')
  })
  // Last in body: it asks nothing, and its link is not to come before the page's skip link.
  const place = () => { if (open) doc.body.append(host) }
  if (doc.readyState == 'loading') doc.addEventListener('DOMContentLoaded', place, { once: true })
  else place()
}
