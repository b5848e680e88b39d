// What acts: sends a choice to the server and takes up its answer, and stops what no longer may run. It comes with the
// banner, or with the dialog.

/** @param {import('./types').Kernel} k */
export default function (k) {
  const doc = document

  /** @param {string} css */
  k.u = css => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet]
  }

  /** @type {import('./types').Tag[]} what was stopped on this page */
  const gone = []
  const cookies = () => doc.cookie.split('; ').map(pair => pair.split('=')[0])
  /** @param {string[] | undefined} patterns */
  const match = patterns => /** @param {any} key */ key =>
    patterns?.some(p => p.endsWith('*') ? key.startsWith(p.slice(0, -1)) : key == p)

  // Stops every running tag that is not to be kept, and tells whether that takes a reload.
  let reload = false
  k.x = (keep, ok) => {
    for (const id in k.r) if (!keep(k.r[id].t)) stop(k.r[id], ok)
    if (reload) after([])
    return reload
  }

  // What is to be looked after once the page was loaded anew: until then a tag may put back what was deleted.
  /** @param {string[]} companies */
  const after = companies => {
    /** @type {import('./types').Left} */
    const left = [gone.flatMap(t => t.c || []), gone.flatMap(t => t.m || []), companies]
    try {
      if (reload) sessionStorage.stile_left = JSON.stringify(left)
    } catch (e) {} // storage is switched off
    return left
  }

  // Deletes what is kept here under these names, and returns the cookies that stay all the same.
  k.i = (names, keys) => {
    for (const key of cookies().filter(match(names))) {
      for (const domain of ['', ...location.hostname.split('.').map((_, i, parts) => ';domain=' + parts.slice(i).join('.'))]) {
        for (let path = location.pathname + '/'; path; path = path.slice(0, -1)) {
          // Secure for names that begin with __Secure-; a partitioned cookie is another one than its namesake.
          for (const kind of ['', ';secure', ';secure;partitioned']) doc.cookie = key + '=;max-age=0;path=' + path + domain + kind
        }
      }
    }
    try {
      for (const store of [localStorage, sessionStorage]) {
        Object.keys(store).filter(match(keys)).forEach(key => store.removeItem(key))
      }
      if (keys?.[0]) indexedDB.databases().then(list => list.forEach(({ name }) => match(keys)(name) && indexedDB.deleteDatabase(/** @type {any} */ (name))))
    } catch (e) {} // storage is switched off, so that there is nothing to clear
    return cookies().filter(match(names))
  }

  /** @param {import('./types').Run} run @param {import('./types').Allows} ok */
  const stop = (run, ok) => {
    const t = run.t
    if (run.s == 'stopped') return
    if (run.s != 'waiting') {
      try {
        t.g?.(ok)
        t.x?.(ok)
      } catch (e) { console.error(e) }
      // What is on its way cannot be called back, and what has no stop of its own goes on: both end with the page.
      if (!t.p && !(t.x && run.s == 'running')) reload = true
      gone.push(t)
    }
    run.s = 'stopped'
    k.i?.(t.c, t.m)
  }

  // randomUUID is kept from pages on plain HTTP.
  const uuid = () => {
    const bytes = [...crypto.getRandomValues(new Uint8Array(16))]
    return bytes.map(x => x.toString(16).padStart(2, '0')).join('').replace(/(.{8})(.{4}).(...).(...)/, '$1-$2-4$3-8$4-')
  }

  /** @type {Promise<any>} what becomes of the newest act */
  let fate
  /** @type {any} ends that for which the newest act waits */
  let cut

  k.p = (fields, surface = 'api', path = '/choice', show) => {
    const body = new URLSearchParams([...fields, ['id', uuid()], ['notice', k.h || ''], ['surface', surface]])
    const accept = body.get('accept')
    // A consent mode has no category, and ends with the last of its tags.
    const names = ['', ...k.s.q.split(' '), ...body.getAll('category'), ...body.getAll('service')]
    // The question for the age is a step of its own (REQUIREMENTS B12), and comes back here with the answer.
    if (k.s.m && !body.has('age') && (names.length > k.s.q.split(' ').length + 1 || /all|new|unsold/.test(accept || ''))) return k.q('j', fields, surface, show)
    cut?.() // a newer act takes the place of the one on its way
    /** @type {any} */
    let own = fate = (async () => {
      if (accept == 'unsold') names.push(...k.s.c.split(' ').filter(c => !k.s.w?.includes(c)))
      /** @param {string} name */
      const ok = name => accept == 'all' || names.includes(name) || (path == '/seen' || /new|kept/.test(accept || '')) && k.a(name)
      // What is declined stops now, whatever becomes of the request (REQUIREMENTS A9, C3).
      k.x?.(t => ok(t.k) || ok(t.i), ok)
      const token = k.c(k.n), said = doc.querySelector('stile-status') || doc.body.appendChild(doc.createElement('stile-status'))
      said.role = 'status'
      said.textContent = ''
      /** @param {number} n */
      const say = n => {
        show?.()
        /** @type {any} */
        const at = doc.querySelector('stile-banner .e,stile-dialog .e') || said
        at.textContent = k.e?.[n]
      }
      // It is sent for ten minutes until it is stored or refused, and nothing is released meanwhile: always with the same id,
      // so that one that did arrive is not stored twice. A choice of another tab takes its place. Nothing of it is kept in the
      // browser: who leaves the page before is asked again.
      const state = k.n + '_state', before = k.c(state), end = Date.now() + 6e5
      /** @type {any} */
      let answer
      for (let wait = 1; !answer && k.c(state) == before; wait *= 2) {
        /** @type {any} */
        let r, why
        const tries = new AbortController(), slow = setTimeout(say, 3e3, 1)
        setTimeout(cut = () => tries.abort(), 1e4)
        try {
          r = await fetch(k.b + path + (token && '?choice=' + token), { method: 'POST', body, credentials: 'include', keepalive: true, signal: tries.signal, headers: { accept: 'application/json' } })
          why = await r.json()
          if (r.ok) answer = why
          why = why.error
        } catch (e) { why = e }
        clearTimeout(slow)
        if (own != fate) return fate
        if (answer) break
        const failed = /^4(?!29)/.test(r?.status) || Date.now() > end
        say(failed ? 2 : 1)
        if (failed) throw Error('stile: ' + why)
        // A little longer than asked for, each another time: who was told the same came at the same moment.
        await new Promise(done => setTimeout(cut = done, (1e3 + Math.random() * 250) * Math.min(r?.headers.get('retry-after') >>> 0 || wait, 30)))
        if (own != fate) return fate
      }
      if (answer?.token) {
        // The consent host is another site than this page, so that its cookie would not come back: keep it here.
        const end = ';path=/;samesite=lax;max-age=' + answer.max_age + (location.protocol == 'https:' ? ';secure' : '')
        doc.cookie = k.n + '=' + answer.token + end
        doc.cookie = state + '=' + answer.state + end
      }
      // The browser's copy of the script is of the old state: have it replaced before the next page asks for it.
      const renewed = fetch(k.b + '.js', { cache: 'reload', mode: 'no-cors', credentials: 'include' }).catch(() => 0)
      // What is left of what was stopped is told, after a reload too: cookies here, and who may have some elsewhere.
      const left = after(gone.filter(t => t.u || t.p).map(t => t.i))
      const any = k.i?.(left[0], left[1])[0] || left[2][0]
      gone.length = 0
      if (reload) {
        await renewed
        location.reload()
      } else {
        await k.f()
        if (any) k.q('w', left)
      }
      said.textContent = k.e?.[0] ?? null
      return path == '/choice' && answer?.guardian ? answer : (answer || window.stile).choice
    })()
    return own
  }
}
