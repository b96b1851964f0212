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
import { gatherTouches, type Identify, joinTouches, type Touch } from '../watch/file-activity.ts'
import type { Sighting, Watch } from '../watch/watch.ts'
import type { RuntimeFile } from '../paths/runtime-file.ts'

export type Seen = RuntimeFileObservation | EventsLost

/** What is known of one file, and the comparison of it with what is there now. */
export type KnownFile = {
  path: string
  kind: RuntimeFileKind
  /** Why it cannot be watched or read; empty when it can. */
  problem(): string
  /** Whether a search has found this file, by another name perhaps, which is then known too. */
  recognises(file: RuntimeFile): boolean
  /** Notes what the kernel saw; returns whether it is the rest of a write that is reported already. */
  note(sighting: Sighting): boolean
  /** Whether something was noted since the last look. */
  hasNews(): boolean
  /** Done when everything is known of those who did it; to be waited for before a look. */
  settled(): Promise<void>
  /**
   * The first look tells what is there, later ones what has changed. Never to be called before the last is done. One
   * that is not thorough believes the kernel's time of the last change, and reads what has another.
   */
  look(thorough: boolean): Promise<Seen[]>
  /** What a package manager says of a state of the file, as an observation. */
  verified(state: FileState | null, answer: PackageFile | null): RuntimeFileObservation
}

export type KnownFileOptions = {
  watch: Watch
  identify: Identify
  now: () => number
  /** Ends a look that hashes. */
  signal: AbortSignal
  /** Digests that the configuration names. */
  accepted: ReadonlySet<string>
  /** What was there before it is looked at for the first time, where that is known: nothing. */
  before?: null
  /** Takes what cannot wait until the file is read. */
  tellAtOnce: (seen: RuntimeFileObservation) => void
}

// Until the events of a change that was found without one must have come, milliseconds.
const EVENT_DELAY_MS = 50

/** Keeps what is known of one runtime file. */
export function knownFile(file: RuntimeFile, options: KnownFileOptions): KnownFile {
  const { path, kind } = file
  const { watch, identify, now, signal, accepted, tellAtOnce } = options
  const links = new Set(file.names)
  const touches = gatherTouches(identify)
  const writing = longWrites()
  /** Null when it is gone, undefined as long as it was not seen at all. */
  let state: FileState | null | undefined = options.before
  let problem = ''
  let stamp = ''
  /** What the look before left to the next: it found what nobody was seen doing, while more was told. */
  let putOff: readonly Touch[] | null = null

  async function look(thorough: boolean): Promise<Seen[]> {
    if (!thorough && !touches.waiting() && stamp !== '' && stampOf(path) === stamp) {
      // The file is what it was, but a link to it may not be.
      return state === undefined ? [] : await changedLinks(state, state, [])
    }
    const { taken: since, lost } = touches.take()
    const taken = joinTouches(putOff ?? [], since)
    const mayPutOff = putOff === null
    putOff = null
    const losses = lost === 0 ? [] : [eventsLost('too-many-writers', lost)]
    // First, for a file that is new here is not watched yet.
    problem = watch.mark(path, links)
    try {
      stamp = stampOf(path)
      const told = tellWrites(taken)
      const after = await readFileState(path, signal, kind)
      if (state === undefined) return [...losses, ...baseline(after)]
      if (mayPutOff && told.size === 0 && isByNobody(changesBetween(state, after, taken.map(deedOf)))) {
        await setTimeout(EVENT_DELAY_MS, undefined, { signal })
        // Where the loop stood still, the time is over before what waits was read.
        await setImmediate(undefined, { signal })
        // They ask for a look of their own, which then knows who it was; once, for others may go on for ever.
        if (touches.waiting()) {
          putOff = taken
          return losses
        }
      }
      const before = state
      state = after
      return [
        ...losses,
        ...changesOf(before, after, taken, told),
        ...(await changedLinks(before, after, taken)),
      ]
    } catch (error) {
      stamp = ''
      problem = `${path} cannot be read: ${messageOf(error)}`
      return taken.length === 0 ? losses : [...losses, eventsLost('unreadable', taken.length)]
    }
  }

  function baseline(after: FileState | null): Seen[] {
    // What need not be there is watched from now on all the same.
    if (after === null && !file.optional) {
      problem ||= `${path} is not there`
      return []
    }
    state = after
    return [observation({ change: 'found', before: null, after }, null)]
  }

  /** A write is one whatever was written; what is accepted by its digest has to be read first. */
  function tellWrites(taken: readonly Touch[]): Set<Touch> {
    const before = state
    if (!before || !isLarge(before) || kind !== 'binary' || accepted.size > 0) return new Set()
    const writes = taken.filter(
      ({ modified, writer, entries, pid, time }) =>
        modified && writer !== null && entries.size === 0 && !writing.goesOn(pid, time),
    )
    for (const by of writes) {
      tellAtOnce(observation({ change: 'written', before, after: { ...before, sha256: '' } }, by))
    }
    return new Set(writes)
  }

  function changesOf(
    before: FileState | null,
    after: FileState | null,
    taken: Touch[],
    told: ReadonlySet<Touch>,
  ): Seen[] {
    const changes = changesBetween(before, after, taken.map(deedOf)).map(({ change, by }) => {
      const continued = change === 'written' && by !== null && writing.goesOn(by.pid, by.time)
      if (change === 'written' && by !== null) writing.begin(by.pid, by.time)
      const seen = observation({ change, before, after }, by)
      const completes = change === 'written' && by !== null && told.has(by.touch)
      return { ...seen, ...(continued && { continued }), ...(completes && { completes }) }
    })
    for (const touch of taken) if (touch.closed) writing.end(touch.pid)
    return changes
  }

  function deedOf(touch: Touch) {
    return { ...touch, touch, entry: touch.entries.has(path) }
  }

  /** A link that leads elsewhere now makes another program run, though the file itself is untouched. */
  async function changedLinks(before: FileState | null, after: FileState | null, taken: Touch[]) {
    const seen: Seen[] = []
    for (const link of links) {
      const stats = tryStat(link)
      if (stats === null || leadsTo(stats, after)) continue
      links.delete(link)
      // A hard link to the file as it was before it was replaced is left behind, not changed.
      if (after === null || leadsTo(stats, before)) continue
      const by = taken.find((touch) => touch.entries.has(link)) ?? null
      const target = await readFileState(link, signal, kind).catch(() => null)
      seen.push(observation({ path: link, change: 'replaced', before, after: target }, by))
    }
    return seen
  }

  function observation(
    what: Pick<RuntimeFileObservation, 'change' | 'before' | 'after'> & { path?: string },
    by: Touch | null,
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

  function eventsLost(reason: string, count: number): EventsLost {
    return { kind: 'events-lost', time: now(), source: 'runtime-files', reason, count }
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
    note(sighting) {
      touches.add(sighting, now())
      return writing.goesOn(sighting.pid, now())
    },
    hasNews: () => touches.waiting(),
    settled: touches.settled,
    look,
    verified: (of, answer) => ({
      ...observation({ change: 'verified', before: of, after: of }, null),
      package: answer,
    }),
  }
}

function isByNobody(changes: readonly { by: unknown }[]): boolean {
  return changes.some(({ by }) => by === null)
}

function leadsTo(stats: { dev: number; ino: number }, file: FileState | null | undefined): boolean {
  return file?.inode === stats.ino && file.device === stats.dev
}
