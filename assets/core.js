// The runtime: the first thing that every answer runs. It takes what the server decided and does just that; it decides
// nothing by itself, except to do less (an answer that may be stale releases nothing).
//
// Members that go over the wire have one letter; types.d.ts says what each one is.

/**
 * @param {import('./types').State} state
 * @param {import('./types').Tag[]} tags released tags, in order
 * @param {import('./types').Act} [act]
 * @param {import('./types').UI} [ui]
 */
export default function (state, tags, act, ui) {
  const win = /** @type {any} */ (window), doc = document, nav = /** @type {any} */ (navigator)
  // A second answer on the same page, after a choice, is handed to the runtime that is there.
  if (win.stile && win.stile._) return win.stile._(state, tags, act, ui)

  const own = /** @type {HTMLScriptElement} */ (doc.currentScript)
  const base = own.src.split('?')[0]
  const name = 'stile_' + state.n
  /** @type {Record<string, import('./types').Run>} */
  const runs = {}
  /** @type {string[]} what markup was let in for: categories and services */
  const freed = []
  /** @type {[string, () => void][]} what is run when a name is allowed, and dropped when it is refused */
  let queue = []
  /** @type {(choice: import('./stile').Choice) => void} */
  let settle
  /** @param {any} x */
  const same = x => x
  const rules = { createHTML: same, createScript: same, createScriptURL: same }
  /** @type {any} */
  const trusted = win.trustedTypes ? win.trustedTypes.createPolicy('stile', rules) : rules

  /** @param {string} name */
  const cookie = name => (('; ' + doc.cookie).split('; ' + name + '=')[1] || '').split(';')[0]
  const mirror = () => cookie(name + '_state')
  // What this page sees of the visitor's state: the mirror that was set beside the signed cookie, and the signal.
  const seen = () => mirror() + (nav.globalPrivacyControl ? '!' : '')
  /** @param {any} script @param {string} key @returns {any} null where the script was asked for without it */
  const asked = (script, key) => new URL(script.src).searchParams.get(key)
  /** @param {string} name */
  const slug = name => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-')
  // An empty name, which an empty list holds too, is no permission.
  /** @param {string} name */
  const allows = name => [k.s.q, k.s.c, ...tags.map(t => t.r ? '' : t.i)].join(' ').split(' ').includes(/** @type {any} */ (slug(name) || 0))

  /** @type {import('./types').Kernel['l']} */
  const load = (url, done, fail, attrs) => {
    const s = /** @type {any} */ (doc.createElement('script'))
    for (const [key, value] of attrs || []) s.setAttribute(key, value)
    s.nonce = own.nonce
    s.onload = () => done(s.stile)
    s.onerror = () => fail(Error('stile: ' + url + ' did not load'))
    s.src = trusted.createScriptURL(url)
    doc.head.append(s)
  }

  // What acts (sends a choice, draws the dialog) is fetched when it is first needed, and so is what stands in the page.
  /** @type {Record<string, Promise<any>>} */
  const parts = {}
  /** @type {import('./types').Kernel['q']} */
  const later = async (what, ...args) => {
    if (!k[what]) {
      const part = what == 'm' ? '/markup.js' :
        (/[ovw]/.test(what) ? '/page.js?lang=' : '/dialog.js?lang=') + (doc.documentElement.lang || k.s.l) + '&regime=' + k.s.r
      await (parts[part] ||= new Promise((done, fail) => load(k.b + part, done, why => {
        delete parts[part]
        fail(why)
      })))
    }
    return /** @type {any} */ (k)[what](...args)
  }

  /** @type {import('./types').Kernel} */
  const k = {
    s: state, b: base.slice(0, -3), n: name, t: trusted, l: load, c: cookie, a: allows, r: runs, q: later, g: freed,
    p1: (t, from = doc.referrer) => {
      new Image().src = (t.p[0] == '/' ? k.b : '') + t.p.replace(/{(\w+)}/g, /** @param {any} _ @param {string} what */ (_, what) => encodeURIComponent(
        what == 'page' ? location.origin + location.pathname : what == 'referrer' ? from.split('?')[0] : what == 'choice' ? cookie(name) :
          what == 'query' ? location.search : Math.random()))
    },
    // Asks for the answer that fits what this page sees; the address names it, so that no old copy can be it. Where none
    // comes, nothing is released until the next page view, and no error is thrown into the page.
    f: lang => new Promise(done => {
      last = seen()
      /** @param {string} key @param {string} value */
      const more = (key, value) => value ? '&' + key + '=' + value : ''
      load(base + '?s=' + last + more('lang', lang || asked(own, 'lang')) + more('choice', cookie(name)), done, done)
    }),
  }

  /** @param {import('./types').Tag} t @param {any} late it was refused on this page before */
  const start = (t, late) => {
    /** @type {import('./types').Run} */
    const run = runs[t.i] = { t, s: 'waiting', p: Promise.all((t.d || []).map(id => runs[id].p)) }
    run.p = run.p
      // Each tag in a task of its own, so that none holds up the page or the next.
      .then(() => win.scheduler?.yield ? win.scheduler.yield() : new Promise(next => setTimeout(next)))
      .then(() => new Promise((done, fail) => {
        if (run.s != 'waiting') return fail()
        run.s = 'loading'
        t.b?.(allows, late)
        t.g?.(allows)
        if (t.u) return load(t.u, done, fail, t.h)
        if (t.p) k.p1(t)
        done(0)
      }))
      .then(threw => {
        if (run.s == 'loading') {
          run.e = threw
          t.a?.(allows)
          run.s = 'running'
        }
      })
    run.p.catch(why => {
      if (run.s == 'stopped') return
      run.s = 'failed'
      run.e = why?.message || why
      console.error('stile: ' + t.i + ' failed', why)
    })
  }

  // Markup that waits for a category is let in by a part of its own, which a page without any does not fetch.
  const scan = () => {
    if (doc.querySelector(':is(script[type="text/plain"],template,video,audio,[data-src],[data-srcset],[data-href]):is([data-stile],[data-category],[data-name])')) {
      later('m').catch(console.error)
    }
  }

  const flush = () => {
    queue = queue.filter(item => {
      if (!allows(item[0])) return !api.choice.made
      Promise.resolve(runs[slug(item[0])]?.p).then(item[1]).catch(console.error)
    })
  }

  // Takes an answer: stops what it no longer releases, runs what it newly does.
  /** @param {import('./types').State} s @param {import('./types').Tag[]} list @returns {any} */
  const apply = (s, list) => {
    const made = api.choice?.made
    const words = /** @param {string} x */ x => Object.freeze(x.split(' ').filter(same))
    const kept = /** @param {import('./types').Tag} t */ t => list.some(u => u.i == t.i)
    k.s = s
    tags = list
    // What stops comes with the banner or the dialog, and is fetched where neither is here.
    if (Object.values(runs).some(run => run.s != 'stopped' && !kept(run.t)) && !k.x) {
      return later('x', kept, allows).then(() => apply(s, list), () => location.reload())
    }
    if (k.x?.(kept, allows) || !freed.every(allows)) return location.reload()
    const choice = api.choice = Object.freeze({ made: !!s.s, granted: words(s.c), denied: words(s.d), gpc: !!s.g })
    for (const t of list) {
      const run = runs[t.i]
      if (!run || run.s == 'failed' || run.s == 'stopped' && !t.g) start(t, made)
      else if (t.g && /g|p/.test(run.s)) {
        try {
          t.g(allows)
        } catch (e) { console.error(e) }
        if (run.s == 'stopped') run.s = 'running'
      }
    }
    if (!s.a) k.y?.()
    doc.dispatchEvent(new Event('stile'))
    if (s.s) doc.dispatchEvent(new CustomEvent('stile:choice', { detail: { choice, first: made == false } }))
    settle(choice)
    flush()
    scan()
    place()
  }

  // The permanent control, on pages that have no way to the choices of their own, unless the site wants it everywhere.
  const opener = '[data-stile-open],[data-cc^=show]'
  let placed = 0
  const place = () => {
    if (doc.readyState != 'complete' || !api.choice) return
    try {
      // Once a page: what is written there later is for the next one.
      if (!placed++ && sessionStorage.stile_left) later('w')
    } catch (e) {} // storage is switched off
    if (k.s.v && !k.s.a && (k.s.v != 'a' || !doc.querySelector(opener))) later('v')
  }

  // An answer is stale where the page sees another state than the one that it was made for. The one exception is an
  // answer that was asked for by naming the state that is seen: then the server has the last word.
  /** @type {import('./types').Take} */
  const take = (state, list, act, ui) => {
    if (state) {
      if (asked(doc.currentScript, 's') != seen() && (mirror() != state.s || nav.globalPrivacyControl == !state.g)) return k.f()
      apply(state, /** @type {any} */ (list))
    }
    // Only with words that are shown (k.h): a record says which.
    act?.(k)
    ui?.(k)
  }

  /** @type {any} */
  const api = {
    choice: null,
    ready: new Promise(done => { settle = done }),
    get tags() { return Object.fromEntries(Object.keys(runs).map(id => [id, runs[id].s + (runs[id].e ? ': ' + runs[id].e : '')])) },
    allows,
    show: () => later('d'),
    /** @param {string[]} [categories] */
    accept: categories => later('p', categories ? categories.map(c => ['category', c]) : [['accept', 'all']]),
    reject: () => later('p', [['accept', 'none']]),
    withdraw: () => later('p', [], 'api', '/withdraw'),
    // What waits for a category or a tag: run once that is allowed, dropped when it is refused.
    /** @param {string} name @param {() => void} fn */
    push: (name, fn) => {
      queue.push([name, fn])
      if (api.choice) flush()
    },
    /** @param {'choice'} type @param {(choice: import('./stile').Choice) => void} fn */
    on: (type, fn) => {
      // A listener that throws stops nobody else.
      doc.addEventListener('stile', () => fn(api.choice))
      if (api.choice) fn(api.choice)
    },
    _: take,
  }
  win.stile = api

  // While a script runs its element is the current one, though a browser says of another site's only that it threw.
  win.addEventListener('error', /** @param {any} event */ event => {
    if (doc.currentScript) /** @type {any} */ (doc.currentScript).stile = event.message
  })

  // Another tab, or a page that comes back from the back/forward cache, may have missed a choice.
  let last = seen()
  const look = () => { if (last != seen()) k.f() }
  win.addEventListener('pageshow', look)
  win.addEventListener('load', place)
  doc.addEventListener('visibilitychange', look)
  // In a task of its own: Chromium loads no frame whose src is set while the parser inserts it.
  let due = 0
  new MutationObserver(() => {
    due ||= setTimeout(() => {
      due = 0
      if (api.choice) scan()
      place()
    })
  }).observe(doc, { childList: true, subtree: true })
  doc.addEventListener('click', event => {
    const at = /** @type {any} */ (event.target).closest(opener + ',[data-cc^=accept]')
    if (at) {
      event.preventDefault()
      // vanilla-cookieconsent's attribute for buttons of the page's own
      const what = at.dataset.cc
      what == 'accept-all' ? api.accept() : what == 'accept-necessary' ? api.reject() : api.show()
    }
  })
  take(state, tags, act, ui)
}
