// Tells the gate of a page view, where the site counts those: once a page and, in a single-page app, for each new address.
// What is told is what the answer did, by a name that is the same for everybody whose answer did the same.

/**
 * @param {import('./types').Kernel} k
 * @param {string} outcome
 * @param {(k: any) => void} [walk]
 */
export default function (k, outcome, walk) {
  const lang = new URL(/** @type {any} */ (document.currentScript).src).searchParams.get('lang')
  const first = !k.ov
  k.ov = outcome + (lang ? '&lang=' + encodeURIComponent(lang) : '')
  if (!first) return // a choice was made: it is still the same view
  const tell = () => { fetch(k.b + '/view?o=' + k.ov, { method: 'POST', keepalive: true, credentials: 'omit' }).catch(() => {}) }
  // A page that is prepared beside the one that is seen may never be.
  if (/** @type {any} */ (document).prerendering) document.addEventListener('prerenderingchange', tell, { once: true })
  else tell()
  // What tells tags of a new address tells the gate likewise.
  walk?.({ __proto__: k, r: { v: { t: { v: tell }, s: 'running' } } })
}
