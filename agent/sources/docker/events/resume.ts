import { hash } from 'node:crypto'
import { type CursorState } from '../../../model/event-cursor.ts'

/** Keeps the place in the event stream across reconnects: nothing lost that the engine still has, nothing twice. */
export type Resume = {
  /** From when on the stream is to be asked for, as `seconds.nnnnnnnnn`; `now` in epoch milliseconds. */
  since(now: number): string
  /** The engine has begun to answer: what it remembers comes first. */
  attached(now: number): void
  /** False for a line that was handed on before. */
  isNew(line: string): boolean
  /** A new line was an event of this time; true when it proves that events before it were lost. */
  advance(timeNano: bigint): boolean
  /** Null as long as nothing was seen. */
  state(): CursorState | null
}

export function createResume(saved: CursorState | null, startedAt: number): Resume {
  let last = saved !== null && /^\d{1,19}$/.test(saved.timeNano) ? BigInt(saved.timeNano) : null
  const recent = new Set(saved?.recent.slice(-rememberedLines))
  let backfill: Backfill | null = null

  return {
    since(now) {
      const nowNano = nanoseconds(now)
      // Event times run backwards by some microseconds, hence a second of overlap. A time in the future,
      // after a step of the clock, would make the engine leave out what it has.
      const from = last === null ? nanoseconds(startedAt) : last - second
      return decimalSeconds(from <= nowNano ? from : nowNano - second)
    },

    attached(now) {
      backfill = last === null ? null : { after: last, until: nanoseconds(now) + attachSlack, count: 0 }
    },

    isNew(line) {
      const digest = hash('sha256', line, 'base64url').slice(0, 16)
      if (recent.has(digest)) {
        backfill = null // The stream overlaps with what was seen, so nothing lies between.
        return false
      }
      recent.add(digest)
      if (recent.size > rememberedLines) recent.delete(recent.values().next().value as string)
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

/** The past events that the engine sends first: whether they reach back to what was seen. */
type Backfill = { after: bigint; until: bigint; count: number }

// eventsLimit in moby's daemon/events/events.go: a backfill this long may have had a beginning that is lost.
const engineMemory = 256

// The engine repeats no more than it remembers; twice that for lines that were no events.
const rememberedLines = 512

// The engine sends the head of its answer before it looks at what it remembers.
const attachSlack = 100_000_000n

const second = 1_000_000_000n

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.round(milliseconds * 1000)) * 1000n
}

function decimalSeconds(nano: bigint): string {
  return `${nano / second}.${String(nano % second).padStart(9, '0')}`
}
