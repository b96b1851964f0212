import type { Store } from './store.ts'
import type { Cursor, CursorState } from '../model/event-cursor.ts'

const key = 'docker-events-cursor'

// Detectors may wait some seconds for what belongs to an event before they judge it.
const lagMs = 5_000

/**
 * Keeps the place in the event stream, some seconds behind: an event is only safe once its finding is stored,
 * and what is read a second time after a crash is recognised by its act.
 */
export function storedCursor(store: Pick<Store, 'getState' | 'setState'>, now: () => number): Cursor {
  let waiting: { state: CursorState; at: number }[] = []
  return {
    load() {
      const known = parseState(store.getState(key))
      if (known !== null) return known
      // A first daemon that crashes before it has got anywhere is to go on from where it began.
      const beginning = { timeNano: String(BigInt(now()) * 1_000_000n), recent: [] }
      store.setState(key, JSON.stringify(beginning))
      return beginning
    },
    save(state) {
      const ripe = waiting.findLast(({ at }) => at <= now() - lagMs)
      if (ripe !== undefined) store.setState(key, JSON.stringify(ripe.state))
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
