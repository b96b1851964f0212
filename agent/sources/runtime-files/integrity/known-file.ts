import { setImmediate, setTimeout } from 'node:timers/promises'
import { messageOf } from '../../../lib/errors.ts'
import type {
  EventsLost,
  FileState,
  PackageFile,
  RuntimeFileKind,
  RuntimeFileObservation,
} from '../../../model/observation.ts'
import { changesBetween } from './changes.ts'
import { tryStat } from './files.ts'
import { isLarge, readFileState, stampOf } from './hash.ts'
import { longWrites } from '../watch/long-writes.ts'
import {
  collectFileActivity,
  type Identify,
  mergeFileActivity,
  type FileActivity,
} from '../watch/file-activity.ts'
import type { FileEvent, Watch } from '../watch/watch.ts'
import type { RuntimeFile } from '../paths/runtime-file.ts'
import { eventsLost } from '../../../model/source-reports.ts'

export type Seen = RuntimeFileObservation | EventsLost

/** The known state of one file, and its comparison with the current state. */
export type KnownFile = {
  path: string
  kind: RuntimeFileKind
  /** Why it cannot be watched or read; empty when it can. */
  problem(): string
  /** Whether a search found this file, possibly by another name, which is then known too. */
  recognises(file: RuntimeFile): boolean
  /** Records an event; returns whether it belongs to a write that was already reported. */
  record(event: FileEvent): boolean
  /** Whether events were recorded since the last check. */
  hasActivity(): boolean
  /**
   * Resolves when the processes behind the events are identified as well as they ever will be; await it before a
   * check.
   */
  attributed(): Promise<void>
  /**
   * The first check returns the baseline, later ones the changes. Never call it before the previous check is done. A
   * check that is not thorough reads the file only when its ctime has changed.
   */
  check(thorough: boolean): Promise<Seen[]>
  /** The package managers' answer about a state of the file, as an observation. */
  verified(state: FileState | null, answer: PackageFile | null): RuntimeFileObservation
}

export type KnownFileOptions = {
  watch: Watch
  identify: Identify
  now: () => number
  /** Aborts a check that is hashing. */
  signal: AbortSignal
  /** Digests that the configuration accepts. */
  accepted: ReadonlySet<string>
  /** The state before the first check, where it is known: null for no file. */
  before?: null
  /** Receives observations that cannot wait until the file is read. */
  reportImmediately: (seen: RuntimeFileObservation) => void
}

// How long the events of a change may arrive after a check has found the change, milliseconds.
const EVENT_DELAY_MS = 50

/** Tracks the state of one runtime file. */
export function knownFile(file: RuntimeFile, options: KnownFileOptions): KnownFile {
  const { path, kind } = file
  const { watch, identify, now, signal, accepted, reportImmediately } = options
  const links = new Set(file.names)
  const collector = collectFileActivity(identify)
  const writing = longWrites()
  /** Null when the file is gone, undefined before the first check. */
  let state: FileState | null | undefined = options.before
  let problem = ''
  let stamp = ''
  /**
   * Activity that the previous check deferred to the next one: it found a change by an unknown process while more
   * events arrived.
   */
  let deferred: readonly FileActivity[] | null = null

  async function check(thorough: boolean): Promise<Seen[]> {
    if (!thorough && !collector.hasActivity() && stamp !== '' && stampOf(path) === stamp) {
      // The file is unchanged, but a link to it may not be.
      return state === undefined ? [] : await changedLinks(state, state, [])
    }
    const { taken: since, lost } = collector.take()
    const taken = mergeFileActivity(deferred ?? [], since)
    const mayDefer = deferred === null
    deferred = null
    const losses = lost === 0 ? [] : [eventsLost('runtime-files', now(), 'too-many-writers', lost)]
    // Before reading, because a new file is not watched yet.
    problem = watch.mark(path, links)
    try {
      stamp = stampOf(path)
      const reported = reportWrites(taken)
      const after = await readFileState(path, signal, kind)
      if (state === undefined) return [...losses, ...baseline(after)]
      if (
        mayDefer &&
        reported.size === 0 &&
        hasUnknownActor(changesBetween(state, after, taken.map(operationOf)))
      ) {
        await setTimeout(EVENT_DELAY_MS, undefined, { signal })
        // If the event loop was blocked, the delay may be over before the pending events are read.
        await setImmediate(undefined, { signal })
        // The new events trigger another check, which then knows the process. Deferred only once, because events may
        // never stop.
        if (collector.hasActivity()) {
          deferred = taken
          return losses
        }
      }
      const before = state
      state = after
      return [
        ...losses,
        ...changesOf(before, after, taken, reported),
        ...(await changedLinks(before, after, taken)),
      ]
    } catch (error) {
      stamp = ''
      problem = `${path} cannot be read: ${messageOf(error)}`
      return taken.length === 0
        ? losses
        : [...losses, eventsLost('runtime-files', now(), 'unreadable', taken.length)]
    }
  }

  function baseline(after: FileState | null): Seen[] {
    // An optional file that does not exist is watched from now on too.
    if (after === null && !file.optional) {
      problem ||= `${path} does not exist`
      return []
    }
    state = after
    return [observation({ change: 'found', before: null, after }, null)]
  }

  /**
   * A write counts whatever was written, so it can be reported before the file is read, unless its digest may be
   * accepted by the configuration.
   */
  function reportWrites(taken: readonly FileActivity[]): Set<FileActivity> {
    const before = state
    if (!before || !isLarge(before) || kind !== 'binary' || accepted.size > 0) return new Set()
    const writes = taken.filter(
      ({ modified, writer, entries, pid, time }) =>
        modified && writer !== null && entries.size === 0 && !writing.isOngoing(pid, time),
    )
    for (const by of writes) {
      reportImmediately(observation({ change: 'written', before, after: { ...before, sha256: '' } }, by))
    }
    return new Set(writes)
  }

  function changesOf(
    before: FileState | null,
    after: FileState | null,
    taken: FileActivity[],
    reported: ReadonlySet<FileActivity>,
  ): Seen[] {
    const changes = changesBetween(before, after, taken.map(operationOf)).map(({ change, by }) => {
      const continued = change === 'written' && by !== null && writing.isOngoing(by.pid, by.time)
      if (change === 'written' && by !== null) writing.begin(by.pid, by.time)
      const seen = observation({ change, before, after }, by)
      const isUpdate = change === 'written' && by !== null && reported.has(by.activity)
      return { ...seen, ...(continued && { continued }), ...(isUpdate && { isUpdate }) }
    })
    for (const activity of taken) if (activity.closed) writing.end(activity.pid)
    return changes
  }

  function operationOf(activity: FileActivity) {
    return { ...activity, activity, entry: activity.entries.has(path) }
  }

  /** A link that now leads elsewhere makes another program run, although the file itself is unchanged. */
  async function changedLinks(before: FileState | null, after: FileState | null, taken: FileActivity[]) {
    const seen: Seen[] = []
    for (const link of links) {
      const stats = tryStat(link)
      if (stats === null || leadsTo(stats, after)) continue
      links.delete(link)
      // A hard link to the file from before its replacement is left over, not changed.
      if (after === null || leadsTo(stats, before)) continue
      const by = taken.find((activity) => activity.entries.has(link)) ?? null
      const target = await readFileState(link, signal, kind).catch(() => null)
      seen.push(observation({ path: link, change: 'replaced', before, after: target }, by))
    }
    return seen
  }

  function observation(
    what: Pick<RuntimeFileObservation, 'change' | 'before' | 'after'> & { path?: string },
    by: FileActivity | null,
  ): RuntimeFileObservation {
    return {
      kind: 'runtime-file',
      file: kind,
      time: by?.time ?? now(),
      path,
      ...what,
      writer: by?.writer ?? null,
      container: by?.container ?? null,
      ...(what.after !== null && accepted.has(what.after.sha256) && { accepted: true as const }),
    }
  }

  return {
    path,
    kind,
    problem: () => problem,
    recognises(found) {
      const isThis = found.path === path || leadsTo({ dev: found.device, ino: found.inode }, state)
      if (isThis) for (const name of [found.path, ...found.names]) if (name !== path) links.add(name)
      return isThis
    },
    record(event) {
      collector.add(event, now())
      return writing.isOngoing(event.pid, now())
    },
    hasActivity: () => collector.hasActivity(),
    attributed: collector.attributed,
    check,
    verified: (of, answer) => ({
      ...observation({ change: 'verified', before: of, after: of }, null),
      package: answer,
    }),
  }
}

function hasUnknownActor(changes: readonly { by: unknown }[]): boolean {
  return changes.some(({ by }) => by === null)
}

function leadsTo(stats: { dev: number; ino: number }, file: FileState | null | undefined): boolean {
  return file?.inode === stats.ino && file.device === stats.dev
}
