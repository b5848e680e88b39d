import { useEffect, useRef, useSyncExternalStore } from 'react'

// A router of forty lines on the History API. The address is the state.
const readers = new Set()
const tell = () => readers.forEach(read => read())
addEventListener('popstate', tell)

const subscribe = read => {
  readers.add(read)
  return () => readers.delete(read)
}

export const usePath = () => useSyncExternalStore(subscribe, () => location.pathname)

function go(event) {
  const plain = !event.button && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey
  if (!plain) return
  event.preventDefault()
  const to = event.currentTarget.href
  if (to === location.href) return
  history.pushState(null, '', to)
  tell()
  scrollTo(0, 0)
}

export function Link({ to, children, ...rest }) {
  const here = usePath() === to
  return <a href={to} onClick={go} aria-current={here ? 'page' : undefined} {...rest}>{children}</a>
}

/** The heading of a page: who comes by a link goes on reading there. */
export function Heading({ children }) {
  const heading = useRef(null)
  const path = usePath()
  useEffect(() => {
    if (path !== first) heading.current.focus({ preventScroll: true })
    first = ''
  }, [path])
  return <h1 ref={heading} tabIndex={-1}>{children}</h1>
}

// The page that was opened by its address keeps the focus where the browser has it.
let first = location.pathname
