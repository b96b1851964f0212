import type { Container, ContainerState, ContainerView } from '../../agent/model/container.ts'
import type { Observation, ResourceSample } from '../../agent/model/observation.ts'
import type { Instruments, Series } from './instruments.ts'

const labelNames = ['container', 'image'] as const
type Labels = (typeof labelNames)[number]

/** A container's latest sample, and when it ended. Times are epoch milliseconds. */
type Entry = { sample: ResourceSample; endedAt: number | null }

// Prometheus looks back five minutes for a series; then the last value of an ended container can go.
const seriesLifetimeMs = 300_000

export type ContainerMetricsOptions = {
  containers: ContainerView
  now: () => number
}

/** What containers use against what they may use, from the latest samples. */
export function createContainerMetrics(make: Instruments, { containers, now }: ContainerMetricsOptions) {
  const entries = new Map<string, Entry>()

  /** One series for each name: of containers that followed each other under a name, the newest. */
  function sampled(): { labels: Record<Labels, string>; sample: ResourceSample; container: Container }[] {
    const named = new Map<
      string,
      { labels: Record<Labels, string>; sample: ResourceSample; container: Container }
    >()
    for (const [id, { sample, endedAt }] of entries) {
      if (endedAt !== null && endedAt < now() - seriesLifetimeMs) {
        entries.delete(id)
        continue
      }
      const container = containers.get(id) ?? sample.container
      const labels = { container: container.name, image: container.image }
      named.set(container.name, { labels, sample, container })
    }
    return [...named.values()]
  }

  type ValueOf = (sample: ResourceSample) => number | null
  function* series(valueOf: ValueOf): Generator<Series<Labels>> {
    for (const { labels, sample } of sampled()) {
      const value = valueOf(sample)
      if (value !== null) yield [labels, value]
    }
  }
  const gauge = (name: string, help: string, valueOf: ValueOf) =>
    make.mirror(`tidewatch_container_${name}`, help, labelNames, () => series(valueOf))
  const total = (name: string, help: string, valueOf: ValueOf) =>
    make.mirrorTotal(`tidewatch_container_${name}_total`, help, labelNames, () => series(valueOf))

  total('cpu_usage_seconds', 'CPU time used.', ({ cpu }) => cpu.usageSeconds)
  total('cpu_periods', 'Periods in which the CPU quota was in force.', ({ cpu }) => cpu.periods)
  total(
    'cpu_throttled_periods',
    'Periods in which the container was throttled.',
    ({ cpu }) => cpu.throttledPeriods,
  )
  total(
    'cpu_throttled_seconds',
    'Time for which the container was throttled.',
    ({ cpu }) => cpu.throttledSeconds,
  )
  gauge(
    'memory_working_set_bytes',
    'Memory that cannot be reclaimed at once: usage less inactive page cache.',
    ({ memory }) => memory.workingSetBytes,
  )
  gauge('memory_limit_bytes', 'Memory limit; no series without one.', ({ memory }) => memory.limitBytes)
  gauge('memory_swap_bytes', 'Swap in use.', ({ memory }) => memory.swapBytes)
  gauge('pids', 'Processes and threads.', ({ pids }) => pids.current)
  gauge('pids_limit', 'Limit of processes and threads; no series without one.', ({ pids }) => pids.limit)
  total('forks_refused', 'Forks refused because of a limit of processes.', ({ pids }) => pids.refusedForks)
  total('oom_kills', 'Processes killed for want of memory.', ({ memory }) => memory.oomKills)
  total(
    'disk_read_bytes',
    'Bytes read from block devices; what passes through several, such as LVM, counts for each.',
    ({ blockIo }) => blockIo?.readBytes ?? null,
  )
  total(
    'disk_written_bytes',
    'Bytes written to block devices; what passes through several, such as LVM, counts for each.',
    ({ blockIo }) => blockIo?.writtenBytes ?? null,
  )
  make.mirrorTotal(
    'tidewatch_container_pressure_stall_seconds_total',
    'Time for which some, or all (full), processes waited for the resource; no series on a kernel without PSI.',
    [...labelNames, 'resource', 'kind'],
    () => sampled().flatMap(({ labels, sample }) => stallSeries(labels, sample.pressure)),
  )

  make.mirrorTotal(
    'tidewatch_container_restarts_total',
    'Restarts by the restart policy, as the engine counts them.',
    labelNames,
    () => sampled().map(({ labels, container }) => [labels, container.details?.restartCount ?? 0]),
  )
  make.mirror(
    'tidewatch_container_limit_missing',
    '1 where a running container has no limit for the resource.',
    [...labelNames, 'resource'],
    () =>
      containers
        .running()
        .flatMap(({ name, image, details }) =>
          missingLimits(details?.limits).map(
            (resource) => [{ container: name, image, resource }, 1] as const,
          ),
        ),
  )
  make.mirror('tidewatch_containers', 'Containers by state.', ['state'], () => countStates(containers.all()))
  make.mirror(
    'tidewatch_container_info',
    'Always 1 for a running container; joins names to ids.',
    ['container', 'container_id', 'image', 'compose_project', 'compose_service', 'k8s_namespace', 'k8s_pod'],
    () => containers.running().map((container) => [infoLabels(container), 1] as const),
  )

  return {
    observed(observation: Observation): void {
      if (observation.kind === 'resources') {
        // Insertion order is what makes the newest of one name win.
        entries.delete(observation.container.id)
        entries.set(observation.container.id, { sample: observation, endedAt: null })
      } else if (observation.kind === 'container') {
        const entry = entries.get(observation.container.id)
        if (entry === undefined) return
        // It may have been renamed since it was sampled.
        entry.sample = { ...entry.sample, container: observation.container }
        if (isEnd(observation.action)) entry.endedAt ??= now()
      }
    },
  }
}

function stallSeries(
  labels: Record<Labels, string>,
  pressure: ResourceSample['pressure'],
): Series<Labels | 'resource' | 'kind'>[] {
  return Object.entries(pressure).flatMap(([resource, stall]) =>
    Object.entries({ some: stall?.someSeconds, full: stall?.fullSeconds }).flatMap(([kind, seconds]) =>
      seconds == null ? [] : [[{ ...labels, resource, kind }, seconds] as const],
    ),
  )
}

function isEnd(action: string): boolean {
  return action === 'died' || action === 'removed'
}

/** The names of the limits that are not set, as the label and the `no-limits` rule have them. */
function missingLimits(limits: NonNullable<Container['details']>['limits'] | undefined): string[] {
  if (limits === undefined) return []
  const missing: [string, number | null][] = [
    ['memory', limits.memoryBytes],
    ['cpu', limits.cpus],
    ['pids', limits.pids],
  ]
  return missing.filter(([, limit]) => limit === null).map(([resource]) => resource)
}

const states: readonly ContainerState[] = [
  'created',
  'running',
  'paused',
  'restarting',
  'removing',
  'exited',
  'dead',
]

function countStates(all: readonly Container[]): Series<'state'>[] {
  return states.map((state) => [{ state }, all.filter((container) => container.state === state).length])
}

function infoLabels(container: Container) {
  return {
    container: container.name,
    container_id: container.id,
    image: container.image,
    compose_project: container.composeProject,
    compose_service: container.composeService,
    k8s_namespace: container.k8sNamespace,
    k8s_pod: container.k8sPod,
  }
}
