/** Where the place in the stream is kept while no daemon runs. */
export type Cursor = { load(): CursorState | null; save(state: CursorState): void }

/** Where a daemon was in the event stream, for the next one to go on. */
export type CursorState = {
  /** Of the last event that was handed on; decimal, for it exceeds what a number holds. */
  timeNano: string
  /** Hashes of the last lines: what the engine may send a second time. */
  recent: readonly string[]
}
