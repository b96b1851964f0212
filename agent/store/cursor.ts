import type { Store } from './store.ts'
import type { Cursor, CursorState } from '../model/event-cursor.ts'

const key = 'docker-events-cursor'

// Detectors may wait a few seconds for related events.
const lagMs = 5_000

/**
 * Stores the position in the event stream, a few seconds behind: an event is only safe once its finding is stored.
 * Events that are read again after a crash are recognised by their event key.
 */
export function storedCursor(store: Pick<Store, 'getState' | 'setState'>, now: () => number): Cursor {
  let waiting: { state: CursorState; at: number }[] = []
  return {
    load() {
      const known = parseState(store.getState(key))
      if (known !== null) return known
      // If the first run crashes before it saves a position, the next run resumes where it started.
      const initial = { timeNano: String(BigInt(now()) * 1_000_000n), recent: [] }
      store.setState(key, JSON.stringify(initial))
      return initial
    },
    save(state) {
      const settled = waiting.findLast(({ at }) => at <= now() - lagMs)
      if (settled !== undefined) store.setState(key, JSON.stringify(settled.state))
      waiting = [...waiting.filter(({ at }) => at > now() - lagMs), { state, at: now() }]
    },
  }
}

function parseState(text: string | null): CursorState | null {
  if (text === null) return null
  try {
    const state: unknown = JSON.parse(text)
    return isCursorState(state) ? state : null
  } catch {
    return null
  }
}

function isCursorState(state: unknown): state is CursorState {
  if (typeof state !== 'object' || state === null) return false
  const { timeNano, recent } = state as Partial<CursorState>
  return (
    typeof timeNano === 'string' && Array.isArray(recent) && recent.every((item) => typeof item === 'string')
  )
}
