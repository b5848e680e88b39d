// The banner, first in body: asks, and goes away.

/** @param {import('./types').Kernel} k @param {string} html @param {string} css @param {string[]} words */
export default function (k, html, css, ...words) {
  const doc = document
  const lang = doc.documentElement.lang
  const tongue = /** @param {string} tag */ tag => tag.split('-')[0].toLowerCase().replace(/^n[no]$/, 'nb')
  // What is written or spoken in two ways, of which a site may have one or both.
  const way = /** @param {string} tag */ tag => /-(hant|tw|hk|mo|br)/i.test(tag) + tongue(tag)
  const other = /** @param {(tag: string) => string} by */ by => by(lang) != by(k.s.l || '') && (k.s.o || '').split(' ').map(by).includes(by(lang))
  // The page speaks another language than the browser asked for, and one that the banner has: the page's counts.
  if (lang && !k.z && (other(tongue) || other(way))) {
    k.z = 1
    return k.f(lang)
  }
  k.y?.()
  const host = doc.createElement('stile-banner')
  // Lets the page's end be scrolled out from under the banner. It is out of flow: nothing of the page moves.
  const room = doc.createElement('stile-room')
  /** @type {any} */
  let before
  /** @type {any} what in the banner has the focus */
  let held
  /** @type {any} where the focus went when the banner did */
  let next
  let open = true
  let again = 9
  k.u?.(css)
  k.e = words
  k.h = k.s.h
  host.innerHTML = k.t.createHTML(html)
  const status = /** @type {HTMLElement} */ (host.querySelector('[role=status]'))

  const place = () => {
    if (!open || !doc.body) return
    swaps.observe(doc.body, { childList: true })
    // Where a page puts another body or other parts in place of its own, the banner moves along, and takes the focus that it
    // had with it. But not for ever: a visitor's own tool, which takes it away each time, has the last word.
    if (!host.isConnected) {
      if (!again) return
      again--
      setTimeout(() => { again = 9 }, 1e3)
      doc.body.prepend(host)
      if (doc.activeElement == doc.body) held?.focus({ preventScroll: true })
    }
    if (doc.readyState != 'loading') doc.body.append(room)
    // None for a banner that a content blocker hides.
    room.style.setProperty('--h', (host.offsetHeight && host.offsetHeight + 24) + 'px')
  }
  const swaps = new MutationObserver(() => host.isConnected || place())
  const close = k.y = () => {
    next = host.contains(doc.activeElement)
    open = false
    status.textContent = ''
    host.remove()
    room.remove()
    if (!next) return
    // Focus goes back where it was, and never gets lost on body.
    next = before?.isConnected ? before : doc.querySelector('main,h1') || doc.querySelector('a[href],button')
    if (next?.tabIndex < 0) next.tabIndex = -1
    next?.focus({ preventScroll: next != before })
  }
  host.addEventListener('focusin', event => {
    const from = /** @type {any} */ (event.relatedTarget)
    if (from && !from.closest('stile-banner,stile-dialog')) before = from
    held = event.target
  })
  // Later, when a swap is over: the focus that got lost with the old body is back by then.
  host.addEventListener('focusout', () => setTimeout(() => { if (!host.contains(doc.activeElement)) held = null }))
  // A focused element of the page is never left under the banner (WCAG 2.4.11): what holds it scrolls, or else the banner
  // goes to the other side. Of what is too large to be seen whole, a part is enough; a dialog is above the banner.
  doc.addEventListener('focusin', event => {
    const el = /** @type {Element} */ (event.target)
    if (!host.isConnected || host.contains(el) || el.closest('dialog')) return
    const dodge = () => {
      for (let up = el.parentElement; ; up = up.parentElement) {
        const a = el.getBoundingClientRect(), b = host.getBoundingClientRect(), low = b.top + b.bottom > innerHeight
        const seen = low ? b.top - Math.max(a.top, 0) : Math.min(a.bottom, innerHeight) - b.bottom
        if (a.bottom <= b.top || a.top >= b.bottom || a.right <= b.left || a.left >= b.right ||
          seen > 24 && a.height + b.height > innerHeight) return false
        if (!up) return true
        up.scrollBy({ top: low ? Math.min(a.bottom - b.top, a.top) + 8 : a.top - b.bottom - 8, behavior: 'instant' })
      }
    }
    for (const side of ['f', 'n', '']) if (dodge()) host.className = side
  })
  host.addEventListener('click', event => {
    const button = /** @type {HTMLElement} */ (event.target).closest('button')
    const value = button?.getAttribute('value')
    if (!button || !host.isConnected) return // a second click is of the same act
    if (!value) {
      event.preventDefault()
      return window.stile.show()
    }
    /** @type {any} of the act that is on its way */
    const busy = host.querySelector('[aria-disabled]')
    if (button == busy) return // nor is a further one
    // First the banner goes, and once that is painted the rest is done. Where saving takes longer it comes back, with the
    // focus that it had: then another button is a newer act.
    if (busy) busy.ariaDisabled = null
    else close()
    button.ariaDisabled = 'true'
    const show = () => {
      if (!open) {
        open = true
        place()
        if (doc.activeElement == next) button.focus({ preventScroll: true })
      }
    }
    requestAnimationFrame(() => setTimeout(() => k.p?.([['accept', value]], 'banner', undefined, show).then(close, why => {
      console.error(why)
      show()
    }).finally(() => { button.ariaDisabled = null })))
  })
  place()
  swaps.observe(doc.documentElement, { childList: true })
  new ResizeObserver(place).observe(host)
  doc.addEventListener('DOMContentLoaded', place)
}
