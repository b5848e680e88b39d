// Reports which third-party hosts a page view loaded from, and what its visitor allowed then: hosts, never an address, and
// nothing that tells visitors or their visits apart. Nothing is kept in the browser.
//
// A page view is reported in the state in which it began: what loads after a choice on the same page is left to the next.

/** @param {import('./types').Kernel} k @param {boolean} walks its pages change without being loaded */
export default function (k, walks) {
  const classes = ['other', 'img', 'fetch', 'iframe', 'script'] // of what is loaded, the weightiest last
  const most = 100 // hosts
  const patience = 10000 // ms after the page has loaded
  const own = [location.host, new URL(k.b).host]
  const here = () => location.href.split('#')[0]
  /** @param {string} text */
  const words = text => text.split(' ').filter(w => w)
  /** @type {Map<string, [number, boolean]>} host to class and whether it failed */
  let hosts = new Map()
  let [state, until = Infinity, began = []] = /** @type {NonNullable<typeof k.began>} */ (k.began)
  let at = here(), since = 0, sent = false
  /** @type {any} */
  let timer

  /** @param {PerformanceEntryList} list */
  const note = list => {
    for (const entry of /** @type {PerformanceResourceTiming[]} */ (list)) {
      if (sent || entry.startTime < since || entry.startTime >= until) continue
      const { protocol, host } = new URL(entry.name, location.href)
      if (!/^(https?|wss?):$/.test(protocol) || own.includes(host) || hosts.size >= most && !hosts.has(host)) continue
      const type = entry.initiatorType
      const as = classes.indexOf(/^(xmlhttprequest|beacon)$/.test(type) ? 'fetch' : type == 'image' ? 'img' : type)
      const [before, failed] = hosts.get(host) || [0, false]
      // A browser tells the status of what it may look into, and else 0.
      hosts.set(host, [Math.max(as, before), failed || entry.responseStatus >= 400])
    }
  }
  const observer = new PerformanceObserver(list => note(list.getEntries()))

  const send = () => {
    if (sent) return
    note(observer.takeRecords())
    sent = true
    clearTimeout(timer)
    // What a choice has just released is not what ran before it. A consent mode is no tag, and has no category.
    const runs = began.filter(({ t }) => t.k), allowed = words(state.q + ' ' + state.c)
    const body = JSON.stringify({
      regime: state.r, chosen: !!state.s && !state.a, gpc: !!state.g, allowed: words(state.c),
      with: runs.filter(({ t }) => !t.r && !allowed.includes(t.k)).map(({ t }) => t.i), without: words(state.z || ''),
      hosts: [...hosts].map(([host, [as, failed]]) => failed ? { host, as: classes[as], failed } : { host, as: classes[as] }),
      failed: runs.filter(run => run.s == 'failed').map(({ t }) => t.i),
    })
    // Text, and no cookies: no preflight comes before it.
    fetch(k.b + '/reports', { method: 'POST', body, keepalive: true, credentials: 'omit' }).catch(() => {})
  }
  const wait = () => { timer ||= setTimeout(send, patience) }
  const turn = () => {
    if (here() == at) return
    send()
    hosts = new Map()
    state = k.s
    began = Object.values(k.r).filter(run => run.s != 'stopped')
    at = here()
    since = performance.now()
    until = Infinity
    timer = sent = false
    wait()
  }

  observer.observe({ type: 'resource', buffered: true })
  document.addEventListener('stile', () => {
    until = Math.min(until, performance.now())
    send()
  })
  document.addEventListener('visibilitychange', () => { if (document.hidden) send() })
  addEventListener('pagehide', send)
  if (walks) {
    const nav = /** @type {any} */ (window).navigation
    nav ? nav.addEventListener('currententrychange', turn) : addEventListener('popstate', turn)
  }
  if (until < Infinity) send()
  else if (document.readyState == 'complete') wait()
  else addEventListener('load', wait)
}
