import { dirname } from 'node:path'
import {
  concat,
  concatMap,
  defer,
  EMPTY,
  exhaustMap,
  filter,
  finalize,
  from,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  share,
  Subject,
  tap,
  timer,
} from 'rxjs'
import type { EventsLost, HostHardening, Observation, SourceStatus } from '../../model/observation.ts'
import type { Pulse, Source } from '../../model/source.ts'
import { clip } from '../../lib/text.ts'
import { isDropIn } from './paths/configuration-files.ts'
import { type FollowedFile, followFile } from './integrity/followed-file.ts'
import { oneAtATime } from '../../lib/one-at-a-time.ts'
import { openWatch } from './watch/open-watch.ts'
import type { Identify } from './watch/file-activity.ts'
import type { AskPackages } from './integrity/verify.ts'
import type { Sighting, Watch } from './watch/watch.ts'
import type { RuntimeFile } from './paths/runtime-file.ts'

export type RuntimeFilesOptions = {
  find: () => Promise<RuntimeFile[]>
  /** Asks for another search: the engine was started anew. */
  refind$: Observable<unknown>
  /** How often all files are searched for and hashed, milliseconds. */
  intervalMs: number
  /** How often a file is read whole without cause, milliseconds; else the kernel's time of its last change is believed. */
  thoroughMs?: number
  /** Directories in which every file that comes configures the engine. */
  directories?: readonly string[]
  /** Who a process is that has just touched a file. */
  identify: Identify
  askPackages?: AskPackages
  /** SHA-256 digests that the configuration accepts. */
  accepted?: readonly string[]
  /** What keeps the files that were found from being changed. */
  harden?: (files: readonly RuntimeFile[]) => Promise<HostHardening['measures']>
  now: () => number
  /** What to watch with, the best that the kernel allows unless given. */
  open?: () => Watch
  pulse?: Pulse
}

/** Watches the files that run when Docker starts a container: who changes one of them owns the host (CVE-2019-5736). */
export function runtimeFiles(options: RuntimeFilesOptions): Source {
  return {
    name: 'runtime-files',
    observe: () =>
      defer(() => {
        const abort = new AbortController()
        const watch = options.open?.() ?? openWatch()
        return observeThrough(watch, abort.signal, options).pipe(
          finalize(() => {
            abort.abort()
            watch.close()
          }),
        )
      }),
  }
}

// A search asks the engine, which has 10 s to answer; a large file on a slow disk takes longer to hash. Milliseconds.
const stepWithinMs = 120_000

// Between the looks of one round, so that hashing all files is never a burst. Milliseconds.
const LOOK_SPACING_MS = 100

function observeThrough(
  watch: Watch,
  signal: AbortSignal,
  options: RuntimeFilesOptions,
): Observable<Observation> {
  const { find, refind$, intervalMs, identify, now, directories = [], thoroughMs = 3_600_000 } = options
  const {
    askPackages = nobodyAsked,
    accepted = [],
    harden = async () => ({}),
    pulse = () => undefined,
  } = options
  const files = new Map<string, FollowedFile>()
  const based$ = new Subject<FollowedFile>()
  const unexpected$ = new Subject<void>()
  const events$ = watch.events$.pipe(share())
  const following = { watch, identify, now, signal, askPackages, accepted: new Set(accepted) }
  let lastReason: string | null = null
  let lastMeasures = ''
  let isFirst = true
  let dropIns = 0
  let thoroughAt = now()
  let lost = false

  /** New files get their baseline, the others a look. */
  function round(found: RuntimeFile[]): Observable<Observation> {
    const known = [...files.values()]
    const isThorough = now() - thoroughAt >= thoroughMs || lost
    lost = false
    if (isThorough) thoroughAt = now()
    for (const directory of directories) watch.markDirectory(directory)
    return concat(
      from(found).pipe(concatMap((file) => (isFirst ? follow(file) : followLate(file)))),
      defer(() => {
        isFirst = false
        return statusIfNew()
      }),
      defer(() => harden(found)).pipe(concatMap(measuresIfNew)),
      from(known).pipe(concatMap((file) => checkSoon(file, isThorough))),
      defer(() => {
        pulse(intervalMs + stepWithinMs)
        return EMPTY
      }),
    )
  }

  /** What adds to a unit and comes later was made since; other files may only be used since. */
  function followLate(found: RuntimeFile): Observable<Observation> {
    if (!directories.includes(dirname(found.path))) return follow(found)
    return follow({ ...found, device: 0, inode: 0 }, null)
  }

  function follow(found: RuntimeFile, before?: null): Observable<Observation> {
    pulse(stepWithinMs)
    if ([...files.values()].some((file) => file.recognises(found))) return EMPTY
    const file = followFile(found, { ...following, ...(before === null && { before }) })
    files.set(file.path, file)
    return file.baseline().pipe(tap({ complete: () => based$.next(file) }))
  }

  function measuresIfNew(measures: HostHardening['measures']): HostHardening[] {
    const text = JSON.stringify(measures)
    if (text === lastMeasures || text === '{}') return []
    lastMeasures = text
    return [{ kind: 'host-hardening', time: now(), measures }]
  }

  function statusIfNew(): SourceStatus[] {
    const problems = [...files.values()].map((file) => file.problem())
    const hasPrograms = [...files.values()].some(({ kind }) => kind === 'binary')
    const none = hasPrograms ? '' : 'no runtime file was found: name them in sources.runtime_files.paths'
    const reason = [watch.reason, none, ...problems].filter((part) => part !== '').join('; ')
    if (reason === lastReason) return []
    lastReason = reason
    return [
      {
        kind: 'source-status',
        time: now(),
        source: 'runtime-files',
        up: true,
        mode: watch.mode,
        best: reason === '',
        reason: clip(reason, MAX_REASON),
      },
    ]
  }

  /** What is told of a name that nobody follows yet: a unit's new file, or the directory for such files. */
  function see(sighting: Sighting): Observable<Observation> {
    const known = files.get(sighting.path)
    if (known !== undefined) {
      known.see(sighting)
      return EMPTY
    }
    if (directories.includes(sighting.path)) unexpected$.next()
    if (!directories.includes(dirname(sighting.path)) || !isDropIn(sighting.path)) return EMPTY
    if (dropIns >= MAX_DROP_INS) return of(eventsLost(now(), 'too-many-files'))
    dropIns += 1
    const file = followFile(
      { kind: 'configuration', path: sighting.path, names: [], device: 0, inode: 0, optional: true },
      { ...following, before: null },
    )
    files.set(file.path, file)
    file.see(sighting)
    based$.next(file)
    return EMPTY
  }

  const seen$ = events$.pipe(
    filter((event) => event.kind === 'sighting'),
    mergeMap(see),
  )
  const lost$ = events$.pipe(
    filter((event) => event.kind === 'lost'),
    map(({ reason }) => {
      lost = true
      return eventsLost(now(), reason)
    }),
    share(),
  )
  const changes$ = based$.pipe(
    mergeMap((file) => file.changes()),
    tap((seen) => {
      // An upgrade may bring further programs, or put them elsewhere.
      if (seen.kind === 'runtime-file' && ['replaced', 'removed'].includes(seen.change)) unexpected$.next()
    }),
  )
  const again$ = unexpected$.pipe(exhaustMap(() => timer(REFIND_MS)))
  // Whoever lost events looks at everything anew.
  const rounds$ = merge(timer(0, intervalMs), refind$, lost$, again$).pipe(
    oneAtATime(() => {
      pulse(stepWithinMs)
      return from(find()).pipe(concatMap(round))
    }),
  )
  return merge(seen$, lost$, changes$, rounds$)
}

// An upgrade of several packages takes some seconds; the interval finds what comes later.
const REFIND_MS = 2_000

// A host has some three; each costs memory for as long as the daemon runs.
const MAX_DROP_INS = 200

const nobodyAsked: AskPackages = async () => null

const MAX_REASON = 1000

function checkSoon(file: FollowedFile, thorough: boolean): Observable<never> {
  return timer(LOOK_SPACING_MS).pipe(
    tap(() => file.check(thorough)),
    ignoreElements(),
  )
}

function eventsLost(time: number, reason: string): EventsLost {
  return { kind: 'events-lost', time, source: 'runtime-files', reason, count: 1 }
}
