import { setTimeout } from 'node:timers/promises'
import type { Container } from '../../../model/container.ts'
import type { Writer } from '../../../model/observation.ts'
import type { Sighting } from './watch.ts'

/** What one process did to a file since the file was last looked at. */
export type Touch = {
  /** When it was first seen, epoch milliseconds. */
  time: number
  pid: number
  writer: Writer | null
  container: Container | null
  pending?: Pending
  modified: boolean
  closed: boolean
  attributes: boolean
  /** Names of the file that now lead to something else or nothing. */
  entries: Set<string>
}

/**
 * What will be told better in a moment. The writer: it had ended, and what the kernel has told of it is not read whole
 * yet. The container: its processes are seen before the engine says what it is.
 */
type Pending = 'writer' | 'container' | null

/** Says who a process is; asked at once, for it may end. */
export type Identify = (pid: number) => Pick<Touch, 'writer' | 'container'> & {
  pending?: Pending
}

/** Gathers what is seen of a file between two looks at it. */
export type Touches = {
  add(sighting: Sighting, time: number): void
  waiting(): boolean
  /** Done when everything is known of everybody that ever will be. */
  settled(): Promise<void>
  /** Those that wait, and how many sightings came from processes beyond the bound. */
  take(): { taken: Touch[]; lost: number }
}

// Each costs a look at /proc, and becomes an observation of its own.
const MAX_PROCESSES = 64

// A record that another processor is still writing holds up those behind it for a moment; on a host that is so busy that
// there are many, each question reads some milliseconds' worth of them, and this is enough for all that there is room for.
const MAX_QUESTIONS = 100
const WAIT_MS = 5

// The event loop is shared with everything else the daemon does.
const SLICE_MS = 10

type Asked = Touch & { questions: number }

/** Touches of one file, by the process that did them. */
export function gatherTouches(identify: Identify): Touches {
  let byPid = new Map<number, Asked>()
  let lost = 0
  let asking: Promise<void> | null = null

  function askAgain(): boolean {
    const until = performance.now() + SLICE_MS
    for (const touch of byPid.values()) {
      if (!touch.pending) continue
      if (performance.now() > until) return true
      improve(touch, identify(touch.pid))
      touch.questions += 1
      if (touch.questions >= MAX_QUESTIONS) touch.pending = null
    }
    return [...byPid.values()].some(({ pending }) => Boolean(pending))
  }

  /** From when it is seen, and not only when it is looked at: a flood of others makes the table forget it soon. */
  async function keepAsking(): Promise<void> {
    try {
      do await setTimeout(WAIT_MS)
      while (askAgain())
    } finally {
      asking = null
    }
  }

  return {
    add({ pid, modified, closed, attributes, entry }, time) {
      if (!byPid.has(pid) && byPid.size >= MAX_PROCESSES) {
        lost++
        return
      }
      const touch = byPid.get(pid) ?? newTouch(pid, time, identify(pid))
      byPid.set(pid, touch)
      if (touch.pending && asking === null) {
        asking = keepAsking()
        // Whoever waits for it is told.
        asking.catch(() => undefined)
      }
      touch.modified ||= modified
      touch.closed ||= closed
      touch.attributes ||= attributes
      if (entry !== null) touch.entries.add(entry)
    },
    waiting: () => byPid.size > 0,
    async settled() {
      if (asking !== null && askAgain()) await asking
    },
    take() {
      const gathered = { taken: [...byPid.values()], lost }
      byPid = new Map()
      lost = 0
      return gathered
    },
  }
}

/** One touch for each process, of what it did before and since; who it was is known as it was known better. */
export function joinTouches(before: readonly Touch[], since: readonly Touch[]): Touch[] {
  const byPid = new Map(before.map((touch) => [touch.pid, touch]))
  for (const touch of since) byPid.set(touch.pid, joined(byPid.get(touch.pid), touch))
  return [...byPid.values()]
}

function joined(before: Touch | undefined, since: Touch): Touch {
  if (before === undefined) return since
  return {
    ...since,
    time: before.time,
    ...(isUnknown(since) && { writer: before.writer, container: before.container }),
    modified: before.modified || since.modified,
    closed: before.closed || since.closed,
    attributes: before.attributes || since.attributes,
    entries: new Set([...before.entries, ...since.entries]),
  }
}

/** Takes over what was asked for and no more: the process may run another program by now, and be forgotten when it ended. */
function improve(touch: Asked, { writer, container, pending }: ReturnType<Identify>): void {
  if (touch.pending === 'container') {
    if (container !== null)
      Object.assign(touch, { container, pending: pending === 'container' ? pending : null })
  } else if (isUnknown(touch) || !isUnknown({ writer })) {
    Object.assign(touch, { writer, container, pending })
  }
}

/** Nothing but the pid is known. */
function isUnknown({ writer }: Pick<Touch, 'writer'>): boolean {
  return writer !== null && writer.exe === '' && writer.argv.length === 0
}

function newTouch(pid: number, time: number, who: ReturnType<Identify>): Asked {
  return {
    time,
    pid,
    ...who,
    questions: 0,
    modified: false,
    closed: false,
    attributes: false,
    entries: new Set(),
  }
}
