// What goes over the wire between the gate (server/gate) and the runtime, and between the runtime's own parts.
// Members have one letter because they are sent to every visitor.

import type { Choice } from './stile'

/** What an answer was made for. Lists are words with a space between. */
export interface State {
  n: string // site name
  s: string // state of the choice: the mirror cookie's value, "" for none
  g: 0 | 1 // made for a visit with Sec-GPC
  q: string // required categories
  c: string // optional categories that are allowed
  d: string // optional categories that are not
  r: string // regime
  a?: 1 // the visitor must be asked
  l?: string // language of the words
  h?: string // notice: the hash of the words shown, where there are any
  o?: string // languages that the banner can be had in
  v?: 'a' | 's' | 'e' // the permanent control: where a page has none of its own, at the start, at the end
  m?: 1 | 2 // visitors are asked for their age before anything optional is switched on; 2: this one has said that they are younger
  z?: string // tags declined by themselves in a category that is allowed
  w?: string // categories that sell or share data, where a visitor can opt out of that alone
}

/** Tells whether a category or a tag is allowed now. */
export type Allows = (name: string) => boolean

/** A released tag. */
export interface Tag {
  i: string // id
  k: string // category
  d?: string[] // ids of tags that must have loaded before
  r?: 1 // sent without consent, and told so: not allowed
  b?: (ok: Allows, late?: any) => void // before the script is loaded; late: it was refused on this page before
  g?: (ok: Allows) => void // signal: after b, and at each change of the choice
  u?: string // script URL
  h?: [string, string][] // attributes of the script element
  p?: string // pixel URL; through the gate a path under the site's
  a?: (ok: Allows) => void // after the script has loaded
  v?: (ok: Allows) => void // page view of a single-page app
  x?: (ok: Allows) => void // stop; without it the tag ends with the page
  c?: string[] // cookies to clear, "*" for any ending
  m?: string[] // storage keys to clear
}

/** A tag that was started on this page. */
export interface Run {
  t: Tag
  s: 'waiting' | 'loading' | 'running' | 'failed' | 'stopped'
  p: Promise<any>
  e?: any // why it failed, or what its script threw
}

/** What was withdrawn: patterns of cookies and of storage keys, and ids of tags whose companies may keep some elsewhere. */
export type Left = [string[], string[], string[]]

/** The runtime, as its other parts see it. */
export interface Kernel {
  s: State
  b: string // base URL of the site's paths, ".../stile/shop"
  n: string // name of the choice cookie
  t: { createHTML(html: string): any, createScript(text: string): any, createScriptURL(url: string): any } // Trusted Types policy
  l: (url: string, done: (ok?: any) => void, fail: (why?: any) => void, attrs?: [string, string][]) => void
  c: (name: string) => string // reads a cookie
  a: Allows
  r: Record<string, Run>
  f: (lang?: string) => Promise<any> // fetches the answer for what the page sees now
  q: (what: 'd' | 'i' | 'p' | 'x' | 'j' | 'm' | 'o' | 'v' | 'w', ...args: any[]) => Promise<any> // calls one of these, and fetches it first
  g: string[] // what markup was let in for: categories and services
  p1: (t: any, from?: string) => void // sends a pixel
  m?: () => void // lets in the markup that is allowed
  k?: (el: any, name?: string) => void // lets an element in, and gives it what it asks the network for
  walk?: 1 // the address is watched
  began?: [State, number?, Run[]?] // what this page began with: its state, when that changed, and what was released
  ov?: string // what the gate is told at a page view, where the site counts those
  x?: (keep: (t: Tag) => boolean, ok: Allows) => boolean // stops the others; true: that takes a reload
  i?: (cookies?: string[], keys?: string[]) => string[] // deletes what is kept here, and names the cookies that stay
  u?: (css: string) => void // adopts a style sheet
  // posts a choice until it is stored; show brings back what the visitor acted on
  p?: (fields: [string, string][], surface?: string, path?: string, show?: Show) => Promise<any>
  j?: (fields: [string, string][], surface: string, show?: Show) => Promise<any> // asks for the age, then posts a choice
  o?: (el?: any, category?: string, service?: string) => void // draws a placeholder, or takes it away where no category is named
  v?: () => void // draws the permanent control
  w?: (left?: Left) => void // clears once more, and says what is left
  d?: () => void // opens the dialog
  y?: () => void // takes the banner away
  h?: string // notice: the hash of the words that were shown last
  e?: string[] // the words "your choice was saved", "saving takes longer", "it could not be saved"
  z?: 1 // the page's own language was asked for already
}

export type Show = () => void
export type Act = (k: Kernel) => void
export type UI = (k: Kernel) => void
export type Take = (state?: State, tags?: Tag[], act?: Act, ui?: UI) => unknown
