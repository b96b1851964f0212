/** Stores the position in the event stream across restarts. */
export type Cursor = { load(): CursorState | null; save(state: CursorState): void }

/** The position in the event stream at which the next daemon continues. */
export type CursorState = {
  /** Time of the last event passed on; decimal text, because it exceeds a number's precision. */
  timeNano: string
  /** Hashes of the last lines, which the engine may send again. */
  recent: readonly string[]
}
