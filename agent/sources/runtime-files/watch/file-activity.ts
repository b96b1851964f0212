import { setTimeout } from 'node:timers/promises'
import type { Container } from '../../../model/container.ts'
import type { Writer } from '../../../model/observation.ts'
import type { FileEvent } from './watch.ts'

/** What one process did to a file since the file was last checked. */
export type FileActivity = {
  /** When it was first seen, epoch milliseconds. */
  time: number
  pid: number
  writer: Writer | null
  container: Container | null
  pending?: Pending
  modified: boolean
  closed: boolean
  attributes: boolean
  /** Names of the file that now lead to another file or to none. */
  entries: Set<string>
}

/**
 * What is not resolved yet. `writer`: the process has exited, and the kernel's events about it are not fully read.
 * `container`: processes of a container are seen before the engine describes it.
 */
type Pending = 'writer' | 'container' | null

/** Identifies a process. Called immediately, because the process may exit. */
export type Identify = (pid: number) => Pick<FileActivity, 'writer' | 'container'> & {
  pending?: Pending
}

/** Collects the activity on a file between two checks. */
export type FileActivityCollector = {
  add(event: FileEvent, time: number): void
  hasActivity(): boolean
  /** Resolves when every process is identified as well as it ever will be. */
  attributed(): Promise<void>
  /** Takes the collected activity, and the number of events from processes beyond the limit. */
  take(): { taken: FileActivity[]; lost: number }
}

// Each process costs a read of /proc and becomes an observation of its own.
const MAX_PROCESSES = 64

// A record that another CPU is still writing delays the records behind it for a moment. On a host that is busy enough
// to have many of them, each attempt reads some milliseconds' worth of records; this many attempts read a full
// buffer.
const MAX_ATTEMPTS = 100
const RETRY_MS = 5

// The event loop is shared with everything else the daemon does.
const SLICE_MS = 10

type PendingActivity = FileActivity & { attempts: number }

/** Collects the activity on one file by process. */
export function collectFileActivity(identify: Identify): FileActivityCollector {
  let byPid = new Map<number, PendingActivity>()
  let lost = 0
  let resolving: Promise<void> | null = null

  function retryPending(): boolean {
    const until = performance.now() + SLICE_MS
    for (const activity of byPid.values()) {
      if (!activity.pending) continue
      if (performance.now() > until) return true
      updateIdentity(activity, identify(activity.pid))
      activity.attempts += 1
      if (activity.attempts >= MAX_ATTEMPTS) activity.pending = null
    }
    return [...byPid.values()].some(({ pending }) => Boolean(pending))
  }

  /**
   * Starts when the activity is seen, not at the next check: a flood of other processes soon evicts this one from the
   * table.
   */
  async function resolvePending(): Promise<void> {
    try {
      do await setTimeout(RETRY_MS)
      while (retryPending())
    } finally {
      resolving = null
    }
  }

  return {
    add({ pid, modified, closed, attributes, entry }, time) {
      if (!byPid.has(pid) && byPid.size >= MAX_PROCESSES) {
        lost++
        return
      }
      const activity = byPid.get(pid) ?? newActivity(pid, time, identify(pid))
      byPid.set(pid, activity)
      if (activity.pending && resolving === null) {
        resolving = resolvePending()
        // `attributed()` passes the error on.
        resolving.catch(() => undefined)
      }
      activity.modified ||= modified
      activity.closed ||= closed
      activity.attributes ||= attributes
      if (entry !== null) activity.entries.add(entry)
    },
    hasActivity: () => byPid.size > 0,
    async attributed() {
      if (resolving !== null && retryPending()) await resolving
    },
    take() {
      const collected = { taken: [...byPid.values()], lost }
      byPid = new Map()
      lost = 0
      return collected
    },
  }
}

/** Merges earlier and later activity by process and keeps the better identification of each process. */
export function mergeFileActivity(
  before: readonly FileActivity[],
  since: readonly FileActivity[],
): FileActivity[] {
  const byPid = new Map(before.map((activity) => [activity.pid, activity]))
  for (const activity of since) byPid.set(activity.pid, merged(byPid.get(activity.pid), activity))
  return [...byPid.values()]
}

function merged(before: FileActivity | undefined, since: FileActivity): FileActivity {
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

/** Takes over only what was pending: the process may run another program by now, or be forgotten because it exited. */
function updateIdentity(
  activity: PendingActivity,
  { writer, container, pending }: ReturnType<Identify>,
): void {
  if (activity.pending === 'container') {
    if (container !== null)
      Object.assign(activity, { container, pending: pending === 'container' ? pending : null })
  } else if (isUnknown(activity) || !isUnknown({ writer })) {
    Object.assign(activity, { writer, container, pending })
  }
}

/** Nothing but the pid is known. */
function isUnknown({ writer }: Pick<FileActivity, 'writer'>): boolean {
  return writer !== null && writer.exe === '' && writer.argv.length === 0
}

function newActivity(pid: number, time: number, identity: ReturnType<Identify>): PendingActivity {
  return {
    time,
    pid,
    ...identity,
    attempts: 0,
    modified: false,
    closed: false,
    attributes: false,
    entries: new Set(),
  }
}
