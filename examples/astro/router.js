// Goes to the site's own pages without loading them, as Astro's ClientRouter and Turbo do: the next page is fetched, its
// body takes the place of this one's, and the heads are merged. Each page is a whole one without this script too.
(() => {
  const tell = name => document.dispatchEvent(new Event('page:' + name))
  let latest = 0

  // A script that was parsed and not loaded runs only when it is made anew.
  const revive = el => {
    if (el.localName !== 'script') return el
    const script = document.createElement('script')
    for (const { name, value } of el.attributes) script.setAttribute(name, value)
    script.text = el.text
    return script
  }

  // What both heads have stays as it is: no script in it runs twice, and no style sheet is fetched again.
  function mergeHead(next) {
    const fresh = [...next.head.children]
    for (const el of [...document.head.children]) {
      const same = fresh.findIndex(other => other.isEqualNode(el))
      if (same < 0) el.remove()
      else fresh.splice(same, 1)
    }
    document.head.append(...fresh.map(revive))
  }

  function swap(next) {
    tell('before-swap')
    mergeHead(next)
    document.body.replaceWith(next.body)
    for (const script of document.body.querySelectorAll('script')) script.replaceWith(revive(script))
  }

  async function go(address, y) {
    const turn = ++latest
    const answer = await fetch(address, { headers: { accept: 'text/html' } }).catch(() => null)
    if (turn !== latest) return // another link was clicked meanwhile
    if (!answer?.ok) return location.assign(address)
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html')
    if (turn !== latest) return
    // A parser without scripts makes real elements of what is for browsers without scripts.
    next.querySelectorAll('noscript').forEach(el => el.remove())
    if (address !== location.href) {
      history.replaceState({ y: scrollY }, '')
      history.pushState({ y: 0 }, '', address)
    }
    const draw = () => swap(next)
    await (document.startViewTransition ? document.startViewTransition(draw).updateCallbackDone : draw())
    scrollTo(0, y)
    document.querySelector('h1')?.focus({ preventScroll: true })
    tell('load')
  }

  document.addEventListener('click', event => {
    const link = event.target.closest('a[href]')
    const plain = !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey
    if (!link || !plain || event.defaultPrevented || link.origin !== location.origin || link.hash) return
    event.preventDefault()
    if (link.href !== location.href) go(link.href, 0)
  })
  addEventListener('popstate', event => go(location.href, event.state?.y || 0))
  document.addEventListener('DOMContentLoaded', () => tell('load'))
})()
