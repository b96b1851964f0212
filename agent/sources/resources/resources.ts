import {
  concat,
  concatMap,
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  from,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  Subject,
  tap,
  throttleTime,
  timer,
} from 'rxjs'
import type { Container, ContainerView } from '../../model/container.ts'
import type { ResourceSample, SourceStatus } from '../../model/observation.ts'
import type { Pulse, Source } from '../../model/source.ts'
import {
  cgroupReader,
  type CgroupReader,
  type CgroupReaderOptions,
  type KernelPaths,
} from './cgroup-reader.ts'
import { type Health, healthOf } from './health.ts'
import { type Look, lookAt, type StatsOnce } from './look.ts'
import { agenda, type Pace } from './sampling-schedule.ts'

export type ResourcesOptions = KernelPaths &
  Partial<Omit<Pace, 'intervalMs'>> & {
    containers: ContainerView
    /** For containers whose files cannot be had, and for an engine on another host. */
    statsOnce?: StatsOnce
    intervalMs: number
    /** Containers, by id, of which others have seen that there is something to look at. */
    grown$?: Observable<string>
    pulse?: Pulse
    now: () => number
  } & Pick<CgroupReaderOptions, 'triggerOf'>

/**
 * Samples what every running container uses against its limits, from its cgroup's files, else from the engine: at an
 * interval, more often near a limit, and at once when the kernel announces a kill, a refused fork or a wait for memory,
 * or when its processes multiply.
 */
export function resources(options: ResourcesOptions): Source {
  return {
    name: 'resources',
    observe: () =>
      defer(() => {
        const announced$ = new Subject<string>()
        const shownEvery = Math.max(1, Math.min(3, Math.floor(scrapeMs / options.intervalMs)))
        const cgroups = cgroupReader({ ...options, shownEvery, onNotice: (id) => announced$.next(id) })
        return samples(cgroups, announced$, options).pipe(finalize(() => cgroups.close()))
      }),
  }
}

// Prometheus seldom asks more often, and what is only shown to it is a fifth of all that is read.
const scrapeMs = 15_000

type Seen = ResourceSample | SourceStatus

function samples(
  cgroups: CgroupReader,
  announced$: Observable<string>,
  options: ResourcesOptions,
): Observable<Seen> {
  const { containers, statsOnce, intervalMs, nearIntervalMs = 1_000, nearRatio = 0.8, now } = options
  const { grown$ = EMPTY } = options
  const pulse = options.pulse ?? (() => undefined)
  const { tickMs, due, looked } = agenda({ intervalMs, nearIntervalMs, nearRatio })
  const looks = new Map<string, Look>()
  let tick = 0
  let health = healthOf([], cgroups.mode)

  function round(at: number): Observable<Seen> {
    tick = at
    pulse(nextLookWithinMs)
    const running = containers.running()
    const ids = new Set(running.map(({ id }) => id))
    cgroups.retain(ids)
    for (const id of looks.keys()) if (!ids.has(id)) looks.delete(id)
    const due$ = inSlices(due(running, tick))
    return concat(due$.pipe(mergeMap(sample, concurrentRequests)), defer(changeOfHealth))
  }

  function sample(container: Container): Observable<ResourceSample> {
    return lookAt(container, cgroups, statsOnce).pipe(
      mergeMap((look) => {
        looks.set(container.id, look)
        pulse(nextLookWithinMs)
        looked(container, 'usage' in look ? look.usage : null, tick)
        return 'usage' in look ? [sampleOf(look, now())] : []
      }),
    )
  }

  function changeOfHealth(): SourceStatus[] {
    const current = [...looks.values()]
    if (current.every(({ via }) => via === 'end')) return []
    const before = health
    health = healthOf(current, cgroups.mode)
    const isSame = before.mode === health.mode && before.reason === health.reason
    return isSame ? [] : [statusOf(health, now())]
  }

  const rounds$ = timer(0, tickMs).pipe(exhaustMap(round))
  const news$ = merge(
    gathered(announced$).pipe(map((ids) => ids.filter(cgroups.hasNews))),
    // Not asked of an engine: who forks without end would have it answer without end.
    gathered(grown$).pipe(map((ids) => ids.filter(cgroups.isOpen))),
  ).pipe(
    mergeMap((ids) => ids.flatMap((id) => containers.get(id) ?? [])),
    mergeMap(sample),
  )
  return concat(of(statusOf(health, now())), merge(rounds$, news$))
}

// A kill is to be seen within 100 ms, and the kernel announces a full container's reclaim a hundred times in a second.
const noticeMs = 50

/** The containers that were announced, each once, at the first notice and then as often as is useful. */
function gathered(announced$: Observable<string>): Observable<string[]> {
  const ids = new Set<string>()
  return announced$.pipe(
    tap((id) => ids.add(id)),
    throttleTime(noticeMs, undefined, { leading: true, trailing: true }),
    mergeMap(() => {
      const all = [...ids]
      ids.clear()
      return [all]
    }),
  )
}

// A look at a container takes the engine 5 s at most, and rounds begin every second.
const nextLookWithinMs = 60_000

// A first sample takes 0.3 ms, so that a slice stays well under 10 ms; a request takes 5 ms of the engine's own CPU,
// so that few are asked at once.
const sliceLength = 10
const concurrentRequests = 4

/** Lets the event loop breathe after every few containers. */
function inSlices(running: readonly Container[]): Observable<Container> {
  const starts = Array.from(
    { length: Math.ceil(running.length / sliceLength) },
    (_, index) => index * sliceLength,
  )
  return from(starts).pipe(
    concatMap((start) => timer(0).pipe(mergeMap(() => running.slice(start, start + sliceLength)))),
  )
}

function sampleOf(look: Look & { via: 'files' | 'stats' }, time: number): ResourceSample {
  const { container, usage } = look
  const firstProcess =
    look.via === 'files' && look.firstProcess !== null ? { firstProcess: look.firstProcess } : {}
  return { kind: 'resources', time, container, ...usage, ...firstProcess }
}

function statusOf(health: Health, time: number): SourceStatus {
  return { kind: 'source-status', time, source: 'resources', up: true, ...health }
}
