// Whether this page view is one of those that report what they loaded: rolled once for a page, when its state is known. An
// answer that comes later on the same page, after a choice, does not roll again.

/** @param {import('./types').Kernel} k @param {number} share */
export default function (k, share) {
  if (k.began || !window.stile.choice) return
  /** @type {NonNullable<import('./types').Kernel['began']>} */
  const began = k.began = [k.s, , Object.values(k.r)]
  if (Math.random() < share) {
    document.addEventListener('stile', () => { began[1] ??= performance.now() })
    k.l(k.b + '/watch.js', Date, Date)
  }
}
