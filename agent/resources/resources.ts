import {
  concat,
  concatMap,
  defer,
  exhaustMap,
  finalize,
  from,
  mergeMap,
  type Observable,
  of,
  timer,
} from 'rxjs'
import type { Container, ContainerView } from '../model/container.ts'
import type { ResourceSample, SourceStatus } from '../model/observation.ts'
import type { Source } from '../model/source.ts'
import { cgroupReader, type CgroupReader, type KernelPaths } from './cgroup-reader.ts'
import { type Health, healthOf } from './health.ts'
import { type Look, lookAt, type StatsOnce } from './look.ts'

export type ResourcesOptions = KernelPaths & {
  containers: ContainerView
  /** For containers whose files cannot be had, and for an engine on another host. */
  statsOnce?: StatsOnce
  intervalMs: number
  now: () => number
}

/** Samples what every running container uses against its limits: from its cgroup's files, else from the engine. */
export function resources(options: ResourcesOptions): Source {
  return {
    name: 'resources',
    observe: () =>
      defer(() => {
        const cgroups = cgroupReader(options)
        return rounds(cgroups, options).pipe(finalize(() => cgroups.close()))
      }),
  }
}

type Seen = ResourceSample | SourceStatus

function rounds(cgroups: CgroupReader, options: ResourcesOptions): Observable<Seen> {
  const { containers, statsOnce, intervalMs, now } = options
  let health = healthOf([], cgroups.mode)

  function round(): Observable<Seen> {
    const running = containers.running()
    cgroups.retain(new Set(running.map(({ id }) => id)))
    const looks: Look[] = []
    const samples$ = inSlices(running).pipe(
      mergeMap((container) => lookAt(container, cgroups, statsOnce), concurrentRequests),
      mergeMap((look) => {
        looks.push(look)
        return 'usage' in look ? [sampleOf(look, now())] : []
      }),
    )
    return concat(
      samples$,
      defer(() => changeOfHealth(looks)),
    )
  }

  function changeOfHealth(looks: readonly Look[]): SourceStatus[] {
    if (looks.every(({ via }) => via === 'end')) return []
    const before = health
    health = healthOf(looks, cgroups.mode)
    const isSame = before.mode === health.mode && before.reason === health.reason
    return isSame ? [] : [statusOf(health, now())]
  }

  return concat(of(statusOf(health, now())), timer(0, intervalMs).pipe(exhaustMap(round)))
}

// A first sample takes 0.2 ms, so that a slice stays under 5 ms; a request takes 5 ms of the engine's own CPU,
// so that few are asked at once.
const sliceLength = 25
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

function sampleOf({ container, usage }: Look & { via: 'files' | 'stats' }, time: number): ResourceSample {
  return { kind: 'resources', time, container, ...usage }
}

function statusOf(health: Health, time: number): SourceStatus {
  return { kind: 'source-status', time, source: 'resources', up: true, ...health }
}
