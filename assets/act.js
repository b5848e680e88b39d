// What acts: sends a choice to the server and takes up its answer. It comes with the banner, or with the dialog.

/** @param {import('./types').Kernel} k */
export default function (k) {
  const doc = document

  /** @param {string} css */
  k.u = css => {
    const sheet = new CSSStyleSheet()
    sheet.replaceSync(css)
    doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet]
  }

  // randomUUID is kept from pages on plain HTTP.
  const uuid = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16))
    bytes[6] = bytes[6] & 15 | 64
    bytes[8] = bytes[8] & 63 | 128
    return [...bytes].map((x, i) => (i > 3 && i < 12 && !(i % 2) ? '-' : '') + x.toString(16).padStart(2, '0')).join('')
  }

  /** @param {string} url @param {URLSearchParams} body @param {number} wait @returns {Promise<any>} */
  const send = async (url, body, wait) => {
    const again = /** @param {any} why */ why => {
      if (wait > 2e3) throw why
      // The same id goes again, so that a choice which did arrive is not stored twice.
      return new Promise(done => setTimeout(done, wait)).then(() => send(url, body, wait * 3))
    }
    /** @type {Response} */
    let r
    try {
      r = await fetch(url, { method: 'POST', body, credentials: 'include', keepalive: true, signal: AbortSignal.timeout(1e4), headers: { accept: 'application/json' } })
    } catch (e) {
      return again(e)
    }
    if (r.status > 499) return again(r.status)
    const answer = await r.json()
    if (!r.ok) throw Error('stile: ' + answer.error)
    return answer
  }

  k.p = async (fields, surface = 'api', path = '/choice') => {
    const body = new URLSearchParams([...fields, ['id', uuid()], ['notice', k.h || ''], ['surface', surface]])
    const names = [...k.s.q.split(' '), ...body.getAll('category'), ...body.getAll('service')]
    /** @param {string} name */
    const ok = name => body.get('accept') == 'all' || names.includes(name)
    // What is declined stops now, whatever becomes of the request (REQUIREMENTS A9, C3).
    const reload = k.x(t => ok(t.k) || ok(t.i), ok)
    const token = k.c(k.n)
    const said = doc.querySelector('stile-status') || doc.body.appendChild(doc.createElement('stile-status'))
    said.role = 'status'
    said.textContent = ''
    const answer = await send(k.b + path + (token && '?choice=' + token), body, 500)
    if (answer.token) {
      // The consent host is another site than this page, so that its cookie would not come back: keep it here.
      const end = ';path=/;samesite=lax;max-age=' + answer.max_age + (location.protocol == 'https:' ? ';secure' : '')
      doc.cookie = k.n + '=' + answer.token + end
      doc.cookie = k.n + '_state=' + answer.state + end
    }
    // The browser's copy of the script is of the old state: have it replaced before the next page asks for it.
    const renewed = fetch(k.b + '.js', { cache: 'reload', mode: 'no-cors', credentials: 'include' }).catch(() => 0)
    if (reload) {
      await renewed
      location.reload()
    } else await k.f()
    said.textContent = k.e || ''
    return answer.choice
  }
}
