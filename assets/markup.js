// What waits in the page's own markup, in Stile's attributes and in those of vanilla-cookieconsent and klaro. Fetched where
// a page has some, and the same for everybody: it lets in what the answer allows, and decides nothing.

/** @param {import('./types').Kernel} k */
export default function (k) {
  if (k.m) return
  const doc = /** @type {any} */ (document)
  const nonce = doc.currentScript.nonce
  /** @type {Record<string, Promise<any> | undefined>} the scripts of a category, one after the other */
  const lines = {}
  /** @type {WeakSet<Element>} what was let in */
  const taken = new WeakSet()

  /** @type {WeakMap<Element, string>} what a script that was let in has written */
  const written = new WeakMap()

  // A script that is let in comes after the page was read: what it writes would take the page's place, or be lost. So it is
  // kept, and put where the script stands.
  for (const name of ['write', 'writeln']) {
    const native = doc[name]
    doc[name] = /** @param {any[]} text */ (...text) => {
      const s = doc.currentScript
      if (!s || !taken.has(s)) return native.apply(doc, text)
      written.set(s, (written.get(s) || '') + text.join('') + (name == 'write' ? '' : '\n'))
    }
  }

  // Where Stile's own script was let in by a nonce, so is what it lets in: HTML that somebody smuggled into the page does not
  // become a script by saying that it waits. Under 'strict-dynamic' browsers would take it, since it is Stile that inserts it.
  // Where the gate has seen that the page's policy goes by hosts, they hold it to that: it gets no nonce that it has not.
  const own = [...doc.scripts].find(s => s.src.split('?')[0] == k.b + '.js')
  const byHosts = own && own.nonce == nonce && own.dataset.stileHosts != null
  /** @param {any} el */
  const foreign = el => {
    if (!nonce || byHosts || el.nonce == nonce) return false
    console.error('stile: a script that waits without the page\'s nonce is not let in', el)
    return true
  }

  /** @param {string} name */
  const slug = name => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-')
  /** @param {string | undefined} list @param {string} name */
  const among = (list, name) => !!name && (list || '').split(' ').includes(slug(name))

  // What an element is let in for, or nothing. A "!" asks for the contrary, as in vanilla-cookieconsent: it is let in once
  // that category or service was declined.
  /** @param {string} category @param {string} service */
  const grant = (category, service) => {
    const [c, s] = [category, service].map(name => name.replace('!', ''))
    if (c + s != category + service) return k.s.s && (among(k.s.d, c) || among(k.s.z, s)) ? '!' + c : ''
    if (s != c && among(k.s.z, s)) return ''
    return [c, s].find(name => k.a(name) && !among(k.s.z, name))
  }

  const held = 'about:invalid#'

  // Gives an element what it asks the network for.
  const give = k.k = /** @param {any} el */ (el, name = '') => {
    taken.add(el)
    if (el.content) {
      template(el, name)
      return
    }
    for (const part of [...el.querySelectorAll('source[data-src],source[data-srcset]'), el]) {
      for (const name of ['type', 'poster', 'srcset', 'srcdoc', 'data', 'href', 'src']) {
        // Where the server held it back it has a name that the page's own programs do not load (data-stile-src).
        const value = part.getAttribute('data-stile-' + name) || part.dataset[name]
        // Attributes like these may be in what visitors write: a link of theirs does not become code, by whatever scheme.
        if (!value || name == 'href' && /^(?!https?:)[a-z][\w+.-]*:/i.test(value.replace(/[\0- ]/g, ''))) continue
        part.setAttribute(name, value)
        part.removeAttribute('data-stile-' + name)
        delete part.dataset[name]
      }
      // Pictures behind it, and in its style. A handler that the server took off stays so: what it waits for has happened, and
      // data that others may write into a page must not become code.
      const behind = part.dataset.stileBackground
      if (behind) part.setAttribute('background', behind)
      delete part.dataset.stileBackground
      const { style } = part
      if (style?.cssText.includes(held)) style.cssText = style.cssText.replaceAll(held, '')
      if (part.localName == 'style') part.textContent = part.textContent.replaceAll(held, '')
    }
    el.closest('video,audio')?.load()
  }

  /** @param {any} el @param {string} name */
  const script = (el, name) => {
    if (foreign(el)) return
    // That of an SVG has href, and comes as one of HTML.
    const { src = el.src || el.dataset.stileHref, type } = el.dataset
    const s = doc.createElement('script')
    for (const a of el.attributes) if (!/^(data-)?(type|src)$/.test(a.name)) s.setAttribute(a.name, a.name.startsWith('on') ? k.t.createScript(a.value) : a.value)
    s.type = type || ''
    s.nonce = el.nonce
    if (src) s.src = k.t.createScriptURL(src)
    else s.text = k.t.createScript(el.textContent)
    // The original stays where it is, inert: a framework that drew it takes it away itself.
    el.type = 'x'
    taken.add(s)
    // What it wrote is whole once it has run. The scripts in that come before those that wait already.
    const ran = () => {
      const html = written.get(s), line = lines[name]
      if (!html) return
      const part = doc.createElement('template')
      part.innerHTML = k.t.createHTML(html)
      el.after(part)
      lines[name] = undefined
      template(part, name)
      part.remove()
      const own = lines[name]
      lines[name] = line
      return own
    }
    if (src && el.hasAttribute('async')) {
      s.addEventListener('load', ran)
      el.after(s)
      return
    }
    lines[name] = Promise.resolve(lines[name]).then(() => new Promise(next => {
      s.addEventListener('load', () => next(ran()))
      s.addEventListener('error', next)
      el.after(s)
      if (!src || !s.isConnected) next(ran())
    }))
  }

  /** @param {any} el @param {string} name */
  const template = (el, name) => {
    // Its scripts wait in line like others, in the place of the template. One that waits for itself goes on waiting.
    const part = doc.importNode(el.content, true)
    const scripts = part.querySelectorAll('script:not([type="text/plain"])')
    for (const s of scripts) {
      s.dataset.type = s.type
      s.type = 'text/plain'
      s.text = k.t.createScript(s.text)
    }
    el.after(part)
    for (const s of scripts) script(s, name)
  }

  // While the page is being read an element is there before its end is: what follows says that it is whole.
  /** @param {Node} el */
  const whole = el => {
    for (let at = /** @type {Node | null} */ (el); at && doc.readyState == 'loading'; at = at.parentNode) if (at.nextSibling) return true
    return doc.readyState != 'loading'
  }
  doc.addEventListener('DOMContentLoaded', () => scan())

  const waiting = ':is(script[type="text/plain"],template,video,audio,[data-src],[data-srcset],[data-href]):is([data-stile],[data-category],[data-name])'
  /** @returns {void} */
  const scan = k.m = () => {
    let unseen = false
    for (const el of doc.querySelectorAll(waiting)) {
      if (taken.has(el) || (el.content || el.play || ['script', 'style'].includes(el.localName)) && !whole(el)) continue
      const { name: klaro, category: theirs = klaro, stile: category = theirs, service = category, embed } = el.dataset
      const name = grant(category, service)
      if (!name) {
        // What would be seen says in its place that it waits, and for what.
        if (embed != null || el.allow != null || el.localName == 'video' || el.controls) {
          if (k.o) k.o(el, category, service)
          else unseen = true
        }
        continue
      }
      if (name[0] != '!') k.g.push(name)
      if (el.localName == 'script') {
        taken.add(el)
        script(el, name)
        continue
      }
      k.o?.(el)
      give(el, name)
      if (el.content) return scan()
    }
    // klaro's own placeholders are seen as long as what they stand for waits.
    for (const el of doc.querySelectorAll('[data-type=placeholder][data-name]')) {
      const { name, originalDisplay } = el.dataset
      el.style.display = grant(name, name) ? 'none' : originalDisplay || 'block'
    }
    // A choice may be made until the part that draws them is here: then it is looked at anew.
    if (unseen) k.q('o').then(scan).catch(console.error)
  }
}
