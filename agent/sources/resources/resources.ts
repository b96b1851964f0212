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
import { type SampleResult, takeSample, type StatsOnce } from './sample.ts'
import { samplingSchedule, type SamplingIntervals } from './sampling-schedule.ts'
import { sourceUp } from '../../model/source-reports.ts'

export type ResourcesOptions = KernelPaths &
  Partial<Omit<SamplingIntervals, 'intervalMs'>> & {
    containers: ContainerView
    /** For containers whose cgroup files are not available, and for an engine on another host. */
    statsOnce?: StatsOnce
    intervalMs: number
    /** Ids of containers whose processes multiply; these are sampled immediately. */
    forkBursts$?: Observable<string>
    pulse?: Pulse
    now: () => number
  } & Pick<CgroupReaderOptions, 'triggerOf'>

/**
 * Samples the usage of every running container against its limits, from its cgroup files or else through the Docker
 * API: at an interval, more often near a limit, and immediately when the kernel announces a kill, a refused fork or a
 * wait for memory, or when the container's processes multiply.
 */
export function resources(options: ResourcesOptions): Source {
  return {
    name: 'resources',
    observe: () =>
      defer(() => {
        const announced$ = new Subject<string>()
        const exportOnlyEvery = Math.max(1, Math.min(3, Math.floor(scrapeMs / options.intervalMs)))
        const cgroups = cgroupReader({ ...options, exportOnlyEvery, onNotice: (id) => announced$.next(id) })
        return samples(cgroups, announced$, options).pipe(finalize(() => cgroups.close()))
      }),
  }
}

// Prometheus seldom scrapes more often, and values that are only exported are a fifth of all that is read.
const scrapeMs = 15_000

type Seen = ResourceSample | SourceStatus

function samples(
  cgroups: CgroupReader,
  announced$: Observable<string>,
  options: ResourcesOptions,
): Observable<Seen> {
  const { containers, statsOnce, intervalMs, nearIntervalMs = 1_000, nearRatio = 0.8, now } = options
  const { forkBursts$ = EMPTY } = options
  const pulse = options.pulse ?? (() => undefined)
  const { tickMs, due, sampled } = samplingSchedule({ intervalMs, nearIntervalMs, nearRatio })
  const results = new Map<string, SampleResult>()
  let tick = 0
  let health = healthOf([], cgroups.mode)

  function round(at: number): Observable<Seen> {
    tick = at
    pulse(nextSampleWithinMs)
    const running = containers.running()
    const ids = new Set(running.map(({ id }) => id))
    cgroups.retain(ids)
    for (const id of results.keys()) if (!ids.has(id)) results.delete(id)
    const due$ = inSlices(due(running, tick))
    return concat(due$.pipe(mergeMap(sample, concurrentRequests)), defer(healthChange))
  }

  function sample(container: Container): Observable<ResourceSample> {
    return takeSample(container, cgroups, statsOnce).pipe(
      mergeMap((result) => {
        results.set(container.id, result)
        pulse(nextSampleWithinMs)
        sampled(container, 'usage' in result ? result.usage : null, tick)
        return 'usage' in result ? [sampleOf(result, now())] : []
      }),
    )
  }

  function healthChange(): SourceStatus[] {
    const current = [...results.values()]
    if (current.every(({ via }) => via === 'end')) return []
    const before = health
    health = healthOf(current, cgroups.mode)
    const isSame = before.mode === health.mode && before.reason === health.reason
    return isSame ? [] : [statusOf(health, now())]
  }

  const rounds$ = timer(0, tickMs).pipe(exhaustMap(round))
  const announcedSamples$ = merge(
    batched(announced$).pipe(map((ids) => ids.filter(cgroups.hasChanged))),
    // Never through the Docker API: a fork bomb would keep the engine busy without end.
    batched(forkBursts$).pipe(map((ids) => ids.filter(cgroups.isOpen))),
  ).pipe(
    mergeMap((ids) => ids.flatMap((id) => containers.get(id) ?? [])),
    mergeMap(sample),
  )
  return concat(of(statusOf(health, now())), merge(rounds$, announcedSamples$))
}

// A kill must be seen within 100 ms, and the kernel announces the reclaim of a full container a hundred times per
// second.
const noticeMs = 50

/** The announced containers, each once: at the first notification and then at most once per `noticeMs`. */
function batched(announced$: Observable<string>): Observable<string[]> {
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

// A sample takes the engine 5 s at most, and rounds start every second.
const nextSampleWithinMs = 60_000

// A first sample takes 0.3 ms, so that a slice stays well under 10 ms; a request takes 5 ms of the engine's own CPU,
// so that few run at the same time.
const sliceLength = 10
const concurrentRequests = 4

/** Yields to the event loop after every few containers. */
function inSlices(running: readonly Container[]): Observable<Container> {
  const starts = Array.from(
    { length: Math.ceil(running.length / sliceLength) },
    (_, index) => index * sliceLength,
  )
  return from(starts).pipe(
    concatMap((start) => timer(0).pipe(mergeMap(() => running.slice(start, start + sliceLength)))),
  )
}

function sampleOf(result: SampleResult & { via: 'files' | 'stats' }, time: number): ResourceSample {
  const { container, usage } = result
  const firstProcess =
    result.via === 'files' && result.firstProcess !== null ? { firstProcess: result.firstProcess } : {}
  return { kind: 'resources', time, container, ...usage, ...firstProcess }
}

function statusOf(health: Health, time: number): SourceStatus {
  return sourceUp('resources', time, health.mode, health.reason)
}
