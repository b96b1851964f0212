import type { Container, ContainerState, ContainerView } from '../../agent/model/container.ts'
import type { ResourceSample } from '../../agent/model/observation.ts'
import { containerLabels, containerSeries, labelsOf, others } from './container-series.ts'
import type { Instruments, Series } from './instruments.ts'

export type ContainerMetricsOptions = {
  containers: ContainerView
  now: () => number
  /** Maximum number of time series about containers. */
  maxSeries: number
}

// Maximum per container: the metrics below, including pressure for three resources in two kinds.
const seriesPerContainer = 24

/** Resource usage and limits of containers, from the latest samples. */
export function createContainerMetrics(
  make: Instruments,
  { containers, now, maxSeries }: ContainerMetricsOptions,
) {
  const maxContainers = Math.max(1, Math.floor(maxSeries / seriesPerContainer))
  const series = containerSeries({ containers, now, maxContainers })

  const gauge = (name: string, help: string, valueOf: (sample: ResourceSample) => number | null) =>
    make.mirror(`tidewatch_container_${name}`, help, containerLabels, () =>
      series.gauges(({ sample }) => valueOf(sample)),
    )
  const total = (name: string, help: string, valueOf: (sample: ResourceSample) => number | null) =>
    make.mirrorTotal(
      `tidewatch_container_${name}_total`,
      help,
      containerLabels,
      series.totals(({ sample }) => valueOf(sample)),
    )

  total('cpu_usage_seconds', 'CPU time used, user and system.', ({ cpu }) => cpu.usageSeconds)
  total('cpu_periods', 'Scheduling periods with a CPU quota in effect.', ({ cpu }) => cpu.periods)
  total(
    'cpu_throttled_periods',
    'Scheduling periods in which the CPU quota throttled the container.',
    ({ cpu }) => cpu.throttledPeriods,
  )
  total(
    'cpu_throttled_seconds',
    'Time for which the CPU quota throttled the container.',
    ({ cpu }) => cpu.throttledSeconds,
  )
  gauge(
    'memory_working_set_bytes',
    'Memory that cannot be reclaimed immediately: usage minus inactive page cache.',
    ({ memory }) => memory.workingSetBytes,
  )
  gauge('memory_limit_bytes', 'Memory limit; no series if unlimited.', ({ memory }) => memory.limitBytes)
  gauge('memory_swap_bytes', 'Swap in use.', ({ memory }) => memory.swapBytes)
  gauge('pids', 'Processes and threads.', ({ pids }) => pids.current)
  gauge('pids_limit', 'Limit of processes and threads; no series if unlimited.', ({ pids }) => pids.limit)
  total(
    'forks_refused',
    'Forks refused because the limit of processes and threads was reached.',
    ({ pids }) => pids.refusedForks,
  )
  total('oom_kills', 'Processes killed by the OOM killer.', ({ memory }) => memory.oomKills)
  total(
    'disk_read_bytes',
    'Bytes read from block devices; stacked devices, such as LVM, each count.',
    ({ blockIo }) => blockIo?.readBytes ?? null,
  )
  total(
    'disk_written_bytes',
    'Bytes written to block devices; stacked devices, such as LVM, each count.',
    ({ blockIo }) => blockIo?.writtenBytes ?? null,
  )
  const stalls = (['cpu', 'memory', 'io'] as const).flatMap((resource) =>
    (['some', 'full'] as const).map((kind) => {
      const totals = series.totals(
        ({ sample: { pressure } }) => pressure[resource]?.[`${kind}Seconds`] ?? null,
      )
      return () => [...totals()].map(([labels, value]) => [{ ...labels, resource, kind }, value] as const)
    }),
  )
  make.mirrorTotal(
    'tidewatch_container_pressure_stall_seconds_total',
    'Time for which some or all (full) processes waited for the resource; no series on a kernel without PSI.',
    [...containerLabels, 'resource', 'kind'],
    () => stalls.flatMap((totals) => totals()),
  )

  make.mirrorTotal(
    'tidewatch_container_restarts_total',
    'Restarts by the restart policy, as counted by Docker.',
    containerLabels,
    series.totals(({ container }) => container.details?.restartCount ?? 0, 'container'),
  )
  make.mirror(
    'tidewatch_container_limit_missing',
    '1 if a running container has no limit for the resource.',
    [...containerLabels, 'resource'],
    () => [
      ...series
        .own()
        .flatMap((container) =>
          missingLimits(container).map((resource) => [{ ...labelsOf(container), resource }, 1] as const),
        ),
      ...[...countEach(series.folded().flatMap(missingLimits))].map(
        ([resource, count]) => [{ ...others, resource }, count] as const,
      ),
    ],
  )
  make.mirror('tidewatch_containers', 'Containers by state.', ['state'], () => countStates(containers.all()))
  make.mirror(
    'tidewatch_container_info',
    'Always 1 for a running container; maps names to IDs.',
    ['container', 'container_id', 'image', 'compose_project', 'compose_service', 'k8s_namespace', 'k8s_pod'],
    () => series.own().map((container) => [infoLabels(container), 1] as const),
  )
  make.mirror(
    'tidewatch_containers_without_series',
    'Containers over the web.max_series limit; their values are summed as container="_other".',
    [],
    () => [[{}, series.folded().length]],
  )

  return { observed: series.observed, beginScrape: series.beginScrape }
}

/** The names of the limits that are not set, as used by the label and the `no-limits` rule. */
function missingLimits({ details }: Container): string[] {
  if (details === null) return []
  const { memoryBytes, cpus, pids } = details.limits
  const missing: [string, number | null][] = [
    ['memory', memoryBytes],
    ['cpu', cpus],
    ['pids', pids],
  ]
  return missing.filter(([, limit]) => limit === null).map(([resource]) => resource)
}

function countEach(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
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
