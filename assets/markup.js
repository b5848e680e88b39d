// What waits in the page's own markup, in Stile's attributes and in those of vanilla-cookieconsent and klaro. Fetched where
// a page has some, and the same for everybody: it lets in what the answer allows, and decides nothing.

/** @param {import('./types').Kernel} k */
export default function (k) {
  if (k.m) return
  const doc = /** @type {any} */ (document)
  const nonce = doc.currentScript.nonce
  /** @type {Record<string, Promise<any>>} the scripts of a category, one after the other */
  const lines = {}
  /** @type {WeakSet<Element>} what was let in */
  const taken = new WeakSet()

  // A script that is let in comes after the page was read: what it wrote would take the page's place, or be lost.
  for (const name of ['write', 'writeln']) {
    const native = doc[name]
    doc[name] = /** @param {any[]} text */ (...text) => {
      const s = doc.currentScript
      if (!s || !taken.has(s)) return native.apply(doc, text)
      console.error('stile: document.write by ' + (s.src || 'an inline script') + ' is refused, since the page was read already; use a form of this tag that loads later')
    }
  }

  /** @param {string} name */
  const slug = name => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-')
  // "!analytics" runs where analytics was declined, as in vanilla-cookieconsent.
  /** @param {string} name */
  const open = name => name[0] == '!' ? k.s.s && !k.a(name.slice(1)) : k.a(name) && !(k.s.z || '').split(' ').includes(slug(name))

  // Gives an element what it asks the network for.
  const give = k.k = /** @param {any} el */ el => {
    for (const part of [...el.querySelectorAll('source[data-src],source[data-srcset]'), el]) {
      for (const name of ['type', 'poster', 'srcset', 'href', 'src']) {
        if (part.dataset[name] == null) continue
        part.setAttribute(name, part.dataset[name])
        delete part.dataset[name]
      }
    }
    el.load?.()
  }

  /** @param {any} el @param {string} name */
  const script = (el, name) => {
    const { src = el.src, type } = el.dataset
    const s = doc.createElement('script')
    for (const a of el.attributes) if (!/^(data-)?(type|src)$/.test(a.name)) s.setAttribute(a.name, a.value)
    s.type = type || ''
    s.nonce = el.nonce || nonce
    if (src) s.src = k.t.createScriptURL(src)
    else s.text = k.t.createScript(el.text)
    el.type = 'x' // taken
    taken.add(s)
    lines[name] = Promise.resolve(lines[name]).then(() => new Promise(next => {
      s.onload = s.onerror = next
      el.replaceWith(s)
      if (!src || el.hasAttribute('async') || !s.isConnected) next(0)
    }))
  }

  /** @param {any} el @param {string} at @param {string} name */
  const template = (el, at, name) => {
    // Its scripts wait in line like others, in the place of the template.
    const part = doc.importNode(el.content, true)
    for (const s of part.querySelectorAll('script')) {
      Object.assign(s.dataset, { [at]: name, type: s.type })
      s.type = 'text/plain'
      s.text = k.t.createScript(s.text)
    }
    el.replaceWith(part)
  }

  const waiting = ['script[type="text/plain"]', 'template', 'video', '[data-src]', '[data-srcset]', '[data-href]']
  /** @returns {void} */
  const scan = k.m = () => {
    for (const at of ['stile', 'category', 'name']) {
      for (const el of doc.querySelectorAll(waiting.map(x => x + '[data-' + at + ']').join())) {
        const { [at]: category, service = category, embed } = el.dataset
        const declined = k.s.z && service != category && (' ' + k.s.z + ' ').includes(' ' + slug(service) + ' ')
        const name = declined ? '' : [category, service].find(open)
        if (!name) {
          // What would be seen says in its place that it waits, and for what.
          if (embed != null || el.allow != null || el.play) k.q('o', el, category, service)
          continue
        }
        if (taken.has(el)) continue
        taken.add(el)
        if (name[0] != '!') k.g.push(name)
        if (el.text != null && el.localName == 'script') {
          script(el, name)
          continue
        }
        k.o?.(el)
        if (!el.content) {
          give(el)
          continue
        }
        template(el, at, name)
        return scan()
      }
    }
  }
}
