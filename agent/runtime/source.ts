import {
  concat,
  concatMap,
  defer,
  EMPTY,
  filter,
  finalize,
  from,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  share,
  Subject,
  tap,
  timer,
} from 'rxjs'
import type { Container } from '../model/container.ts'
import type { EventsLost, Observation, SourceStatus } from '../model/observation.ts'
import type { Pulse, Source } from '../model/source.ts'
import { clip } from '../model/text.ts'
import { type FollowedFile, followFile } from './followed-file.ts'
import { oneAtATime } from './one-at-a-time.ts'
import { openWatch } from './open-watch.ts'
import type { RuntimeFile } from './paths.ts'
import type { Identify } from './touches.ts'
import type { Watch } from './watch.ts'
import { readWriter } from './writer.ts'

export type RuntimeFilesOptions = {
  find: () => Promise<RuntimeFile[]>
  /** Asks for another search: the engine was started anew. */
  refind$: Observable<unknown>
  /** How often all files are searched for and hashed, milliseconds. */
  intervalMs: number
  containerOfPid: (pid: number) => Container | null
  procRoot: string
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
  { find, refind$, intervalMs, containerOfPid, procRoot, now, pulse = () => undefined }: RuntimeFilesOptions,
): Observable<Observation> {
  const files = new Map<string, FollowedFile>()
  const based$ = new Subject<FollowedFile>()
  const events$ = watch.events$.pipe(share())
  let lastReason: string | null = null

  const identify: Identify = (pid) =>
    pid === 0
      ? { writer: null, container: null }
      : { writer: readWriter(procRoot, pid), container: containerOfPid(pid) }

  /** New files get their baseline, the others a look. */
  function round(found: RuntimeFile[]): Observable<Observation> {
    const known = [...files.values()]
    return concat(
      from(found).pipe(concatMap(follow)),
      defer(() => statusIfNew()),
      from(known).pipe(concatMap(checkSoon)),
      defer(() => {
        pulse(intervalMs + stepWithinMs)
        return EMPTY
      }),
    )
  }

  function follow(found: RuntimeFile): Observable<Observation> {
    pulse(stepWithinMs)
    if ([...files.values()].some((file) => file.recognises(found))) return EMPTY
    const file = followFile(found, { watch, identify, now, signal })
    files.set(file.path, file)
    return file.baseline().pipe(tap({ complete: () => based$.next(file) }))
  }

  function statusIfNew(): SourceStatus[] {
    const problems = [...files.values()].map((file) => file.problem())
    const none = files.size === 0 ? 'no runtime file was found: name them in sources.runtime_files.paths' : ''
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

  const seen$ = events$.pipe(
    filter((event) => event.kind === 'sighting'),
    tap((sighting) => files.get(sighting.path)?.see(sighting)),
    ignoreElements(),
  )
  const lost$ = events$.pipe(
    filter((event) => event.kind === 'lost'),
    map(({ reason }) => eventsLost(now(), reason)),
    share(),
  )
  // Whoever lost events looks at everything anew.
  const rounds$ = merge(timer(0, intervalMs), refind$, lost$).pipe(
    oneAtATime(() => {
      pulse(stepWithinMs)
      return from(find()).pipe(concatMap(round))
    }),
  )
  const changes$ = based$.pipe(mergeMap((file) => file.changes()))
  return merge(seen$, lost$, changes$, rounds$)
}

const MAX_REASON = 1000

function checkSoon(file: FollowedFile): Observable<never> {
  return timer(LOOK_SPACING_MS).pipe(
    tap(() => file.check()),
    ignoreElements(),
  )
}

function eventsLost(time: number, reason: string): EventsLost {
  return { kind: 'events-lost', time, source: 'runtime-files', reason, count: 1 }
}
