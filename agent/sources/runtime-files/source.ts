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
import type { HostHardening, Observation, SourceStatus } from '../../model/observation.ts'
import type { Pulse, Source } from '../../model/source.ts'
import { clip } from '../../lib/text.ts'
import { isDropIn } from './paths/configuration-files.ts'
import { type FollowedFile, followFile } from './integrity/followed-file.ts'
import { oneAtATime } from '../../lib/one-at-a-time.ts'
import { openWatch } from './watch/open-watch.ts'
import type { Identify } from './watch/file-activity.ts'
import type { AskPackages } from './integrity/verify.ts'
import type { FileEvent, Watch } from './watch/watch.ts'
import type { RuntimeFile } from './paths/runtime-file.ts'
import { eventsLost, sourceUp } from '../../model/source-reports.ts'

export type RuntimeFilesOptions = {
  find: () => Promise<RuntimeFile[]>
  /** Triggers another search: the engine was restarted. */
  refind$: Observable<unknown>
  /** How often all files are searched for and hashed, milliseconds. */
  intervalMs: number
  /**
   * How often a file is read completely even without a sign of change, milliseconds. In between, a file with an
   * unchanged ctime counts as unchanged.
   */
  thoroughMs?: number
  /** Directories in which every new file configures the engine. */
  directories?: readonly string[]
  /** Identifies a process that has just changed a file. */
  identify: Identify
  askPackages?: AskPackages
  /** SHA-256 digests that the configuration accepts. */
  accepted?: readonly string[]
  /** Determines what protects the found files from changes. */
  harden?: (files: readonly RuntimeFile[]) => Promise<HostHardening['measures']>
  now: () => number
  /** Opens the watch; by default the best that the kernel allows. */
  open?: () => Watch
  pulse?: Pulse
}

/**
 * Watches the files that run when Docker starts a container: a process that can change one of them controls the host
 * (CVE-2019-5736).
 */
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
const STEP_TIMEOUT_MS = 120_000

// Pause between the checks of one round, so that hashing all files is never a burst. Milliseconds.
const CHECK_SPACING_MS = 100

function observeThrough(
  watch: Watch,
  signal: AbortSignal,
  options: RuntimeFilesOptions,
): Observable<Observation> {
  const { find, refind$, intervalMs, identify, now, directories = [], thoroughMs = 3_600_000 } = options
  const {
    askPackages = noPackages,
    accepted = [],
    harden = async () => ({}),
    pulse = () => undefined,
  } = options
  const files = new Map<string, FollowedFile>()
  const followed$ = new Subject<FollowedFile>()
  const searchNeeded$ = new Subject<void>()
  const events$ = watch.events$.pipe(share())
  const following = { watch, identify, now, signal, askPackages, accepted: new Set(accepted) }
  let lastReason: string | null = null
  let lastMeasures = ''
  let isFirst = true
  let dropIns = 0
  let thoroughAt = now()
  let eventsWereLost = false

  /** New files get a baseline; the others are checked. */
  function round(found: RuntimeFile[]): Observable<Observation> {
    const known = [...files.values()]
    const isThorough = now() - thoroughAt >= thoroughMs || eventsWereLost
    eventsWereLost = false
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
        pulse(intervalMs + STEP_TIMEOUT_MS)
        return EMPTY
      }),
    )
  }

  /** A new drop-in file of a unit was created since the last round; other new files may only have come into use. */
  function followLate(found: RuntimeFile): Observable<Observation> {
    if (!directories.includes(dirname(found.path))) return follow(found)
    return follow({ ...found, device: 0, inode: 0 }, null)
  }

  function follow(found: RuntimeFile, before?: null): Observable<Observation> {
    pulse(STEP_TIMEOUT_MS)
    if ([...files.values()].some((file) => file.recognises(found))) return EMPTY
    const file = followFile(found, { ...following, ...(before === null && { before }) })
    files.set(file.path, file)
    return file.baseline().pipe(tap({ complete: () => followed$.next(file) }))
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
    const none = hasPrograms ? '' : 'no runtime program was found: list them in sources.runtime_files.paths'
    const reason = [watch.reason, none, ...problems].filter((part) => part !== '').join('; ')
    if (reason === lastReason) return []
    lastReason = reason
    return [sourceUp('runtime-files', now(), watch.mode, clip(reason, MAX_REASON))]
  }

  /**
   * Handles an event for a name that is not followed yet: a new drop-in file of a unit, or the directory of such
   * files.
   */
  function handle(event: FileEvent): Observable<Observation> {
    const known = files.get(event.path)
    if (known !== undefined) {
      known.handle(event)
      return EMPTY
    }
    if (directories.includes(event.path)) searchNeeded$.next()
    if (!directories.includes(dirname(event.path)) || !isDropIn(event.path)) return EMPTY
    if (dropIns >= MAX_DROP_INS) return of(eventsLost('runtime-files', now(), 'too-many-files'))
    dropIns += 1
    const file = followFile(
      { kind: 'configuration', path: event.path, names: [], device: 0, inode: 0, optional: true },
      { ...following, before: null },
    )
    files.set(file.path, file)
    file.handle(event)
    followed$.next(file)
    return EMPTY
  }

  const fileEvents$ = events$.pipe(
    filter((event) => event.kind === 'file-event'),
    mergeMap(handle),
  )
  const lost$ = events$.pipe(
    filter((event) => event.kind === 'lost'),
    map(({ reason }) => {
      eventsWereLost = true
      return eventsLost('runtime-files', now(), reason)
    }),
    share(),
  )
  const changes$ = followed$.pipe(
    mergeMap((file) => file.changes()),
    tap((seen) => {
      // An upgrade may add programs or move them.
      if (seen.kind === 'runtime-file' && ['replaced', 'removed'].includes(seen.change)) searchNeeded$.next()
    }),
  )
  const searchAgain$ = searchNeeded$.pipe(exhaustMap(() => timer(REFIND_MS)))
  // After lost events, everything is checked again.
  const rounds$ = merge(timer(0, intervalMs), refind$, lost$, searchAgain$).pipe(
    oneAtATime(() => {
      pulse(STEP_TIMEOUT_MS)
      return from(find()).pipe(concatMap(round))
    }),
  )
  return merge(fileEvents$, lost$, changes$, rounds$)
}

// An upgrade of several packages takes some seconds; later changes are found at the regular interval.
const REFIND_MS = 2_000

// A host has some three; each costs memory for as long as the daemon runs.
const MAX_DROP_INS = 200

const noPackages: AskPackages = async () => null

const MAX_REASON = 1000

function checkSoon(file: FollowedFile, thorough: boolean): Observable<never> {
  return timer(CHECK_SPACING_MS).pipe(
    tap(() => file.check(thorough)),
    ignoreElements(),
  )
}
