import { hash } from 'node:crypto'
import { BoundedSet } from '../../../lib/bounded-map.ts'
import { type CursorState } from '../../../model/event-cursor.ts'

/** Keeps the position in the event stream across reconnects: loses nothing the engine still has, repeats nothing. */
export type Resume = {
  /** The `since` parameter of the next request, as `seconds.nnnnnnnnn`; `now` in epoch milliseconds. */
  since(now: number): string
  /** The engine has started to respond. It sends the events it remembers first. */
  attached(now: number): void
  /** False for a line that was already passed on. */
  isNew(line: string): boolean
  /** Takes the time of a new event; true if it proves that events before it were lost. */
  advance(timeNano: bigint): boolean
  /** Null until the first event. */
  state(): CursorState | null
}

export function createResume(saved: CursorState | null, startedAt: number): Resume {
  let last = saved !== null && /^\d{1,19}$/.test(saved.timeNano) ? BigInt(saved.timeNano) : null
  const recent = new BoundedSet<string>(rememberedLines)
  for (const digest of saved?.recent ?? []) recent.add(digest)
  let backfill: Backfill | null = null

  return {
    since(now) {
      const nowNano = nanoseconds(now)
      // Event times go backwards by some microseconds, hence a second of overlap. With a time in the future, after
      // the clock was set back, the engine would omit events that it has.
      const from = last === null ? nanoseconds(startedAt) : last - second
      return decimalSeconds(from <= nowNano ? from : nowNano - second)
    },

    attached(now) {
      backfill = last === null ? null : { after: last, until: nanoseconds(now) + attachSlack, count: 0 }
    },

    isNew(line) {
      const digest = digestOf(line)
      if (recent.has(digest)) {
        backfill = null // The stream overlaps with known events, so there is no gap.
        return false
      }
      recent.add(digest)
      return true
    },

    advance(timeNano) {
      last = timeNano
      if (backfill === null) return false
      if (timeNano <= backfill.after || timeNano > backfill.until) backfill = null
      else backfill.count += 1
      if (backfill === null || backfill.count < engineMemory) return false
      backfill = null
      return true
    },

    state: () => (last === null ? null : { timeNano: String(last), recent: [...recent] }),
  }
}

/** The past events that the engine sends first; they show whether it still remembers the last known event. */
type Backfill = { after: bigint; until: bigint; count: number }

// eventsLimit in moby's daemon/events/events.go: a backfill this long may have lost its beginning.
const engineMemory = 256

// The engine repeats at most what it remembers; twice that allows for lines that were not events.
const rememberedLines = 512

// The engine sends its response headers before it reads the events it remembers.
const attachSlack = 100_000_000n

const second = 1_000_000_000n

// Only the beginning and the end are hashed: a line that contains the time of its event differs from all others
// there, and hashing megabytes of labels would take most of the processing time of their events.
const hashedCharacters = 8_192

function digestOf(line: string): string {
  const half = hashedCharacters / 2
  const hashed =
    line.length <= hashedCharacters ? line : `${line.slice(0, half)}${line.length}${line.slice(-half)}`
  return hash('sha256', hashed, 'base64url').slice(0, 16)
}

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000)) * 1000n
}

function decimalSeconds(nano: bigint): string {
  return `${nano / second}.${String(nano % second).padStart(9, '0')}`
}
