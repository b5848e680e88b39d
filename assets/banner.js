// The banner, first in body: asks, and goes away.

/** @param {import('./types').Kernel} k @param {string} html @param {string} css @param {string} saved */
export default function (k, html, css, saved) {
  const doc = document
  const lang = doc.documentElement.lang
  const tongue = /** @param {string} tag */ tag => tag.split('-')[0].toLowerCase()
  // The page speaks another language than the browser asked for, and one that the banner has: the page's counts.
  if (lang && !k.z && tongue(lang) != tongue(k.s.l || '') && (k.s.o || '').split(' ').map(tongue).includes(tongue(lang))) {
    k.z = 1
    return k.f(lang)
  }
  k.y?.()
  const host = doc.createElement('stile-banner')
  /** @type {any} */
  let before
  k.u?.(css)
  k.e = saved
  host.innerHTML = k.t.createHTML(html)
  const status = /** @type {HTMLElement} */ (host.querySelector('[role=status]'))

  const place = () => doc.body.prepend(host)
  const close = k.y = () => {
    const held = host.contains(doc.activeElement)
    host.remove()
    if (!held) return
    // Focus goes back where it was, and never gets lost on body.
    const next = before && before.isConnected ? before : doc.querySelector('main,h1,a[href],button')
    if (next && next.tabIndex < 0) next.tabIndex = -1
    if (next) next.focus()
  }
  host.addEventListener('focusin', event => {
    if (!host.contains(/** @type {Node} */ (event.relatedTarget))) before = event.relatedTarget
  })
  // A focused element of the page is never left under the banner (WCAG 2.4.11).
  doc.addEventListener('focusin', event => {
    const el = /** @type {Element} */ (event.target)
    if (!host.isConnected || host.contains(el)) return
    const a = el.getBoundingClientRect(), b = host.getBoundingClientRect()
    if (a.bottom > b.top && a.top < b.bottom && a.right > b.left && a.left < b.right) {
      scrollBy(0, b.top > 9 ? a.bottom - b.top + 8 : a.top - b.bottom - 8)
    }
  })
  host.addEventListener('click', event => {
    const button = /** @type {HTMLElement} */ (event.target).closest('[value],a[href]')
    const value = button && button.getAttribute('value')
    if (!button) return
    if (!value) {
      event.preventDefault()
      return window.stile.show()
    }
    // First the banner goes, then the rest is done: the next paint does not wait.
    close()
    setTimeout(() => k.p?.([['accept', value]], 'banner').catch(why => {
      console.error(why)
      place()
      status.hidden = false
    }))
  })
  if (doc.body) place()
  else {
    const wait = new MutationObserver(() => {
      if (doc.body) {
        wait.disconnect()
        place()
      }
    })
    wait.observe(doc.documentElement, { childList: true })
  }
}
