import { useSyncExternalStore } from 'react'

// One listener for the whole app. Where Stile's script did not come, nothing is allowed.
const readers = new Set()
window.stile?.on('choice', () => readers.forEach(read => read()))

const subscribe = read => {
  readers.add(read)
  return () => readers.delete(read)
}

/** Tells whether a category is allowed, and draws anew when that changes. */
export const useConsent = category =>
  useSyncExternalStore(subscribe, () => window.stile?.choice?.granted.includes(category) ?? false)
