import type { Container } from '../model/container.ts'
import type { Writer } from '../model/observation.ts'
import type { Sighting } from './watch.ts'

/** What one process did to a file since the file was last looked at. */
export type Touch = {
  /** When it was first seen, epoch milliseconds. */
  time: number
  pid: number
  writer: Writer | null
  container: Container | null
  ended?: boolean
  modified: boolean
  closed: boolean
  attributes: boolean
  /** Names of the file that now lead to something else or nothing. */
  entries: Set<string>
}

/** Says who a process is; asked at once, for it may end. */
export type Identify = (pid: number) => Pick<Touch, 'writer' | 'container'> & {
  /** It had ended: what the kernel has told of it may not be read whole yet, and be told better in a moment. */
  ended?: boolean
}

/** Gathers what is seen of a file between two looks at it. */
export type Touches = {
  add(sighting: Sighting, time: number): void
  waiting(): boolean
  /** Asks again for those that had ended; returns whether there are any of whom nothing is known. */
  askAgain(): boolean
  /** Those that wait, and how many sightings came from processes beyond the bound. */
  take(): { taken: Touch[]; lost: number }
}

// Each costs a look at /proc, and becomes an observation of its own.
const MAX_PROCESSES = 64

/** Touches of one file, by the process that did them. */
export function gatherTouches(identify: Identify): Touches {
  let byPid = new Map<number, Touch>()
  let lost = 0
  return {
    add({ pid, modified, closed, attributes, entry }, time) {
      if (!byPid.has(pid) && byPid.size >= MAX_PROCESSES) {
        lost++
        return
      }
      const touch = byPid.get(pid) ?? newTouch(pid, time, identify(pid))
      byPid.set(pid, touch)
      touch.modified ||= modified
      touch.closed ||= closed
      touch.attributes ||= attributes
      if (entry !== null) touch.entries.add(entry)
    },
    waiting: () => byPid.size > 0,
    askAgain() {
      const ended = [...byPid.values()].filter((touch) => touch.ended)
      for (const touch of ended) Object.assign(touch, identify(touch.pid))
      return ended.some(isUnknown)
    },
    take() {
      const gathered = { taken: [...byPid.values()], lost }
      byPid = new Map()
      lost = 0
      return gathered
    },
  }
}

/** A process that has ended, and of which the kernel has yet to tell. */
function isUnknown({ writer }: Touch): boolean {
  return writer !== null && writer.exe === '' && writer.argv.length === 0
}

function newTouch(pid: number, time: number, who: ReturnType<Identify>): Touch {
  return { time, pid, ...who, modified: false, closed: false, attributes: false, entries: new Set() }
}
