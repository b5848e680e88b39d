// Where browsers hold a page to the policy of the state that it was made in, what is newly allowed loads in the next page: so
// the page is loaded anew, once its visitor's choice was saved. Fetched where such a policy is enforced.

/** @param {import('./types').Kernel} k */
export default function (k) {
  const doc = document, api = /** @type {any} */ (window).stile
  const allowed = () => api.choice && [...api.choice.granted, ...Object.keys(api.tags)]
  let before = allowed()
  // A choice that was made elsewhere is no reason: what somebody has begun to write here is worth more.
  let elsewhere = false
  const look = () => { elsewhere = k.c(k.n + '_state') != k.s.s }
  window.addEventListener('pageshow', look)
  doc.addEventListener('visibilitychange', look)
  doc.addEventListener('stile', () => {
    const now = allowed()
    if (before && !elsewhere && now.some(/** @param {string} name */ name => !before.includes(name))) location.reload()
    before = now
    elsewhere = false
  })
}
