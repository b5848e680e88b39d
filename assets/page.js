// What stands in the page: placeholders of embeds, the permanent control, and what is said after a withdrawal. Fetched when
// it is first needed, and the same for everybody.

/**
 * @param {import('./types').Kernel} k
 * @param {{embed: string, control: string, left: string, company: string, browser: string}} html
 * @param {string} css
 * @param {Record<string, [string, string]>} purposes title and purpose of each category
 * @param {Record<string, [string, string]>} services company and category of each service
 */
export default function (k, html, css, purposes, services) {
  const doc = document
  /** @param {string} text @param {string} name @param {string} [markup] */
  const element = (name, markup = '', text = '') => {
    const el = /** @type {any} */ (doc.createElement(name))
    if (markup) el.innerHTML = k.t.createHTML(markup)
    else el.textContent = text
    return el
  }
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(css)
  doc.adoptedStyleSheets = [...doc.adoptedStyleSheets, sheet]

  const lang = element('p', html.embed).firstElementChild.lang
  /** @type {WeakMap<Element, () => void>} how to take a placeholder away again */
  const held = new WeakMap()

  /** @param {any} section @param {string} company @param {string} category @param {() => void} once @param {() => void} always */
  const fill = (section, company, category, once, always) => {
    const [intro, why, buttons] = section.children
    intro.textContent = intro.textContent.replaceAll('{company}', company)
    const [title, purpose] = purposes[category] || [category, '']
    why.textContent = title + (purpose && ': ' + purpose)
    buttons.addEventListener('click', (/** @type {any} */ event) => {
      const value = event.target.closest('button')?.value
      if (value == 'once') once()
      if (value == 'always') always()
    })
  }

  // A frame keeps its box: what it shows meanwhile is a document of its own, so that nothing in the page moves. A template
  // (a post's snippet) has no box, and its placeholder goes where it stood.
  k.o = (el, category = '', service = '') => {
    const clear = held.get(el)
    if (!category) {
      clear?.()
      held.delete(el)
      return
    }
    if (clear) return
    const id = services[service] ? service : services[category] ? category : ''
    const { src, stileSrc = src } = (el.dataset.src == null && el.querySelector('[data-src]') || el).dataset
    const company = el.dataset.embed || (id ? services[id][0] : stileSrc && new URL(stileSrc, doc.baseURI).hostname || service || category)
    const once = () => {
      held.get(el)?.()
      held.delete(el)
      k.k?.(el)
    }
    const always = () => {
      const [key, name] = id ? ['service', id] : ['category', category]
      /** @type {any} */
      const kept = [...k.s.c.split(' ').filter(x => x).map(x => ['category', x]), ...Object.keys(services).filter(x => k.a(x)).map(x => ['service', x])]
      k.q('p', [...kept, [key, name]], 'preferences').catch(console.error)
    }
    const subject = id ? services[id][1] : category
    if (el.allow == null) {
      const host = element('stile-embed', html.embed)
      fill(host.firstElementChild, company, subject, once, always)
      const box = el.getBoundingClientRect(), look = getComputedStyle(el)
      if (box.height) {
        // It takes the very place of what waits, so that nothing in the page moves.
        host.className = 's'
        for (const name of ['margin', 'float', 'position', 'inset', 'vertical-align', 'grid-area', 'order', 'flex', 'align-self', 'justify-self']) {
          host.style.setProperty(name, look.getPropertyValue(name))
        }
        host.style.display = look.display == 'inline' ? 'inline-block' : look.display
        host.style.width = box.width + 'px'
        host.style.height = box.height + 'px'
      }
      // A page's own rule for videos beats the attribute hidden.
      const { display } = el.style
      el.style.setProperty('display', 'none', 'important')
      el.after(host)
      held.set(el, () => {
        const focus = host.contains(doc.activeElement)
        host.remove()
        el.style.display = display
        if (!focus || el.content) return
        if (!el.controls) el.tabIndex = -1
        el.focus({ preventScroll: true })
      })
      return
    }
    // A sandboxed frame would keep its own placeholder from being drawn.
    const sandbox = el.getAttribute('sandbox')
    el.removeAttribute('sandbox')
    const draw = () => {
      const inner = el.contentDocument
      if (!held.has(el) || !inner?.body || inner.body.firstElementChild?.localName != 'stile-embed') return
      const style = new inner.defaultView.CSSStyleSheet()
      style.replaceSync(css)
      inner.adoptedStyleSheets = [style]
      fill(inner.body.firstElementChild.firstElementChild, company, subject, once, always)
    }
    el.addEventListener('load', draw)
    held.set(el, () => {
      el.removeEventListener('load', draw)
      el.removeAttribute('srcdoc')
      if (sandbox != null) el.setAttribute('sandbox', sandbox)
      // A frame that is put in anew begins without a history: Back does not lead to the placeholder.
      const next = el.nextSibling, up = el.parentNode, focus = doc.activeElement == el
      el.remove()
      up?.insertBefore(el, next)
      if (focus) el.focus()
    })
    el.srcdoc = k.t.createHTML('<!doctype html><html lang="' + lang + '"><title>' + company.replace(/[<&]/g, '') + '</title><stile-embed class="f">' + html.embed + '</stile-embed>')
  }

  /** @type {any} */
  let control
  k.v = () => {
    if (!control) {
      control = element('stile-control', html.control)
      control.className = k.s.v
      control.addEventListener('click', () => window.stile.show())
    }
    if (!control.isConnected) doc.body.append(control)
  }

  k.w = async left => {
    try {
      left ||= JSON.parse(sessionStorage.stile_left)
      delete sessionStorage.stile_left
    } catch (e) {}
    if (!left) return
    const host = element('stile-note', html.left)
    const list = host.querySelector('ul')
    for (const name of await k.q('i', left[0], left[1])) list.append(element('li', '', name + ' – ' + html.browser))
    for (const id of left[2]) if (services[id]) list.append(element('li', '', html.company.replaceAll('{company}', services[id][0])))
    host.querySelector('button').addEventListener('click', () => host.remove())
    if (list.firstChild) doc.body.prepend(host)
  }
}
