// Page views of a single-page app: what was released on the page is told when its address changes. A vendor that notices by
// itself has no view of its own, and is left alone.

/** @param {import('./types').Kernel} k */
export default function (k) {
  if (k.walk) return
  k.walk = 1
  const here = () => location.href.split('#')[0]
  let at = here()
  let due = 0
  const look = () => {
    // In a task of its own, once for addresses that follow each other at once: a redirect is no page view.
    due ||= setTimeout(() => {
      due = 0
      const from = at
      at = here()
      if (at == from) return
      for (const id in k.r) {
        const { t, s } = k.r[id]
        try {
          // A document does not fetch the same picture twice: a page that is seen again has to be told by another address.
          if (s == 'running' && t.p) k.p1({ p: t.p + (t.p.includes('?') ? '&' : '?') + '_={random}' }, from)
          if (s == 'running') t.v?.(k.a)
        } catch (e) { console.error(e) }
      }
    })
  }
  const nav = /** @type {any} */ (window).navigation
  if (nav) return nav.addEventListener('currententrychange', look)
  for (const name of /** @type {('pushState' | 'replaceState')[]} */ (['pushState', 'replaceState'])) {
    const native = history[name]
    history[name] = /** @param {any[]} args */ function (...args) {
      native.apply(this, /** @type {any} */ (args))
      look()
    }
  }
  addEventListener('popstate', look)
}
