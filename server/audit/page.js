// Runs before anything else in each document of an audit, and tells who sets a cookie or keeps something in the browser, by
// the stack of the call. Whatever fails here fails as it would without it.
((binding) => {
  const tell = window[binding]
  delete window[binding]
  if (!tell) return
  const seen = new Set()
  const note = (kind, name) => {
    const key = kind + ' ' + name
    if (seen.has(key)) return
    seen.add(key)
    try { tell(JSON.stringify({ kind, name, origin: self.origin, stack: new Error().stack })) } catch (e) {}
  }
  const cookie = (name, domain) => note('cookie', name.trim() + '=;' + (domain || ''))
  const own = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie')
  Object.defineProperty(Document.prototype, 'cookie', {
    ...own,
    set(text) {
      const [pair, ...rest] = String(text).split(';')
      cookie(pair.split('=')[0], rest.find(part => /^\s*domain\s*=/i.test(part)))
      return own.set.call(this, text)
    },
  })
  const before = (on, name, told) => {
    const was = on?.[name]
    if (!was) return
    on[name] = { [name](...args) {
      try { told.call(this, ...args) } catch (e) {}
      return was.apply(this, args)
    } }[name]
  }
  before(window.CookieStore?.prototype, 'set', first => cookie(String(first?.name ?? first), first?.domain && 'domain=' + first.domain))
  before(Storage.prototype, 'setItem', function (name) {
    note(this === window.localStorage ? 'localStorage' : 'sessionStorage', String(name))
  })
  before(IDBFactory.prototype, 'open', name => note('IndexedDB', String(name)))
})
