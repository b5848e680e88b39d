// The types of window.stile, for pages that are written in TypeScript.

/** What the visitor chose. Frozen. */
export interface Choice {
  /** false until the visitor has chosen */
  readonly made: boolean
  /** the optional categories that are allowed */
  readonly granted: readonly string[]
  /** the optional categories that are not */
  readonly denied: readonly string[]
  /** whether Global Privacy Control was on */
  readonly gpc: boolean
}

export interface Stile {
  /** null until the first answer was taken; then never null again */
  readonly choice: Choice | null
  /** resolves with the first state, chosen or not */
  readonly ready: Promise<Choice>
  /**
   * what became of each tag that was released to this page: "waiting" (for a tag that it needs), "loading", "running",
   * "stopped" or "failed", and behind a colon why, or what its script threw
   */
  readonly tags: Readonly<Record<string, string>>
  /** whether a category or a tag is allowed now */
  allows(name: string): boolean
  /** opens the preferences */
  show(): Promise<void>
  /**
   * accepts these categories and declines the others; without an argument accepts all. Like the two below it resolves once
   * the choice is stored, with what is in force then: that of a newer act where one was made meanwhile. A server that takes
   * nothing is asked again for ten minutes
   */
  accept(categories?: readonly string[]): Promise<Choice>
  /** declines everything optional */
  reject(): Promise<Choice>
  /** takes back what was accepted */
  withdraw(): Promise<Choice>
  /**
   * runs fn once the category or tag is allowed, a tag's when it has loaded; dropped when the visitor declines it. For
   * events that happen before the visitor has chosen.
   */
  push(name: string, fn: () => void): void
  /** calls fn with every state from now on, and at once with the present one if there is one */
  on(type: 'choice', fn: (choice: Choice) => void): void
}

/** The detail of the event "stile:choice" on document. */
export interface ChoiceEvent {
  choice: Choice
  /** the visitor's first choice, made on this page */
  first: boolean
}

declare global {
  interface Window {
    stile: Stile & { /** @internal */ _?: any }
    trustedTypes?: any
  }
  interface DocumentEventMap {
    'stile:choice': CustomEvent<ChoiceEvent>
  }
}
