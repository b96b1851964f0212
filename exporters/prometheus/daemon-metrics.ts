import { readdirSync } from 'node:fs'
import type { Observation, SourceName, SourceStatus } from '../../agent/model/observation.ts'
import { type Instruments, sumOf } from './instruments.ts'

export type DaemonMetricsOptions = {
  version: string
  sources: readonly SourceName[]
  detectors: readonly { name: string }[]
  /** Read at every scrape: a reload may change them. */
  receivers: readonly string[]
  notificationQueueLength: (receiver: string) => number
  storeMode: () => 'file' | 'memory'
  storesMovedAside: () => number
  /** Epoch milliseconds. */
  now: () => number
  statuses: () => readonly SourceStatus[]
}

/** What tidewatch says of itself: sources, losses, deliveries, the process. */
export function createDaemonMetrics(make: Instruments, options: DaemonMetricsOptions) {
  const { version, sources, detectors, statuses } = options
  make.mirror(
    'tidewatch_build_info',
    'Always 1; the labels say what runs.',
    ['version', 'node_version'],
    () => [[{ version, node_version: process.versions.node }, 1]],
  )
  make.mirror('tidewatch_source_up', '1 while the source is attached.', ['source'], () =>
    sources.map((source) => [
      { source },
      statuses().some((status) => status.source === source && status.up) ? 1 : 0,
    ]),
  )
  make.mirror('tidewatch_source_mode', '1 for the mode the source works in.', ['source', 'mode'], () =>
    statuses()
      .filter(({ up }) => up)
      .map(({ source, mode }) => [{ source, mode }, 1]),
  )
  const events = make.counter('tidewatch_source_events_total', 'What the source has seen, by kind.', [
    'source',
    'type',
  ])
  const lost = make.counter('tidewatch_source_events_lost_total', 'What the source could not see or keep.', [
    'source',
    'reason',
  ])
  const lastEvent = make.gauge(
    'tidewatch_source_last_event_timestamp_seconds',
    'When the source last saw something, Unix time.',
    ['source'],
  )
  const gaps = make.counter(
    'tidewatch_docker_event_gaps_total',
    'Times when the engine had forgotten events that were not seen.',
  )
  const execs = make.counter('tidewatch_execs_total', 'Execs through the Docker API.', ['kind'])
  for (const kind of ['command', 'interactive', 'healthcheck']) execs.inc({ kind }, 0)

  const detectorErrors = make.counter(
    'tidewatch_detector_errors_total',
    'Times a detector failed and was started again.',
    ['detector'],
  )
  for (const { name } of detectors) detectorErrors.inc({ detector: name }, 0)

  const notifications = make.counter(
    'tidewatch_notifications_total',
    'Findings by what became of sending them: delivered, failed (tried again), rejected, expired.',
    ['receiver', 'outcome'],
  )
  const lastSuccess = make.gauge(
    'tidewatch_notification_last_success_timestamp_seconds',
    'When the receiver last took something, Unix time; 0 for never since the start.',
    ['receiver'],
  )
  const begun = new Set<string>()
  function beginReceivers(): void {
    for (const receiver of options.receivers) {
      for (const outcome of notificationOutcomes) notifications.inc({ receiver, outcome }, 0)
      if (!begun.has(receiver)) lastSuccess.set({ receiver }, 0)
      begun.add(receiver)
    }
  }
  beginReceivers()
  make.mirror(
    'tidewatch_notification_queue_length',
    'Findings that the receiver has not got yet.',
    ['receiver'],
    () => options.receivers.map((receiver) => [{ receiver }, options.notificationQueueLength(receiver)]),
  )
  make.mirror(
    'tidewatch_store_up',
    '1 while findings are stored in the state directory; 0 while they are kept in memory only.',
    [],
    () => [[{}, options.storeMode() === 'file' ? 1 : 0]],
  )
  make.mirrorTotal(
    'tidewatch_store_moved_aside_total',
    'Times a findings store could not be used any more, was moved aside, and a new one was begun.',
    [],
    () => [[{}, options.storesMovedAside()]],
  )
  const storeLost = make.counter(
    'tidewatch_store_findings_lost_total',
    'Findings forgotten because they could not be stored and memory is bounded.',
  )
  const logLost = make.counter(
    'tidewatch_log_lines_lost_total',
    'Log lines dropped because nobody read them fast enough.',
  )
  const reloaded = make.gauge(
    'tidewatch_config_last_reload_successful',
    '1 when the configuration in use is the one on disk at the last load.',
  )
  const reloadedAt = make.gauge(
    'tidewatch_config_last_reload_success_timestamp_seconds',
    'When a configuration was last loaded, Unix time.',
  )
  processMetrics(make)

  return {
    /** What the sources saw and lost, by source, and the execs. */
    async totals() {
      const [seen, gone, ran] = [await events.get(), await lost.get(), await execs.get()]
      const bySource = (values: Parameters<typeof sumOf>[0]) =>
        new Map(sources.map((name) => [name, sumOf(values, 'source', name)]))
      const healthchecks = sumOf(ran.values, 'kind', 'healthcheck')
      return {
        events: bySource(seen.values),
        lost: bySource(gone.values),
        execs: sumOf(ran.values) - healthchecks,
        healthchecks,
      }
    },
    observed(observation: Observation): void {
      const source = sourceOf(observation)
      if (observation.kind === 'events-lost') {
        lost.inc({ source, reason: observation.reason }, observation.count)
        if (observation.reason === 'gap') gaps.inc()
        return
      }
      if (observation.kind === 'source-status') return
      events.inc({ source, type: typeOf(observation) })
      lastEvent.set({ source }, observation.time / 1_000)
      if (observation.kind !== 'exec') return
      execs.inc({
        kind: observation.healthcheck ? 'healthcheck' : observation.settings?.tty ? 'interactive' : 'command',
      })
    },
    receiversChanged: beginReceivers,
    detectorFailed: (detector: string) => detectorErrors.inc({ detector }),
    notified(receiver: string, outcome: NotificationOutcome, count: number): void {
      notifications.inc({ receiver, outcome }, count)
      // A reminder is no delivery, but a sign of life.
      if (outcome === 'delivered') lastSuccess.set({ receiver }, options.now() / 1_000)
    },
    storeLost: (count: number) => storeLost.inc(count),
    logLinesLost: (count: number) => logLost.inc(count),
    configurationLoaded: (successful: boolean, now: number) => {
      reloaded.set(successful ? 1 : 0)
      if (successful) reloadedAt.set(now / 1_000)
    },
  }
}

export const notificationOutcomes = ['delivered', 'failed', 'rejected', 'expired'] as const
export type NotificationOutcome = (typeof notificationOutcomes)[number]

const sourceOfKind = {
  'docker-event': 'docker-events',
  container: 'containers',
  exec: 'containers',
  'exec-ended': 'containers',
  'exec-caller': 'containers',
  'api-request': 'processes',
  'oom-victim': 'processes',
  process: 'processes',
  'process-killed': 'processes',
  resources: 'resources',
  'runtime-file': 'runtime-files',
  'host-hardening': 'runtime-files',
  'runtime-file-opened': 'runtime-files',
  masks: 'container-masks',
  'usermode-helper': 'processes',
  'engine-versions': 'containers',
  'breakout-file': 'breakout-files',
} as const

function sourceOf(observation: Observation): SourceName {
  return 'source' in observation ? observation.source : sourceOfKind[observation.kind]
}

// The engine chooses the words of its events; a label set must not be for it to choose.
const engineActions = new Set(
  `attach commit copy create destroy detach die exec_create exec_detach exec_die exec_start export extract-to-dir
   archive-path health_status kill oom pause rename resize restart start stop top unpause update delete import load
   pull push save tag untag prune connect disconnect mount unmount reload`.split(/\s+/),
)

function typeOf(observation: Exclude<Observation, { source: SourceName }>): string {
  switch (observation.kind) {
    case 'docker-event':
      return engineActions.has(observation.action) ? observation.action : 'other'
    case 'container':
      return observation.action
    case 'runtime-file':
    case 'breakout-file':
      return observation.change
    default:
      return observation.kind
  }
}

/** The `process_*` metrics that every Prometheus client has; prom-client's own bring others that promtool's lint refuses. */
function processMetrics(make: Instruments): void {
  make.mirrorTotal('process_cpu_seconds_total', 'CPU time of this process, user and system.', [], () => {
    const { user, system } = process.cpuUsage()
    return [[{}, (user + system) / 1e6]]
  })
  make.mirror('process_resident_memory_bytes', 'Memory of this process.', [], () => [
    [{}, process.memoryUsage.rss()],
  ])
  make.mirror('process_open_fds', 'Open file descriptors of this process.', [], () => [
    [{}, countDescriptors()],
  ])
  const startedAt = Date.now() / 1_000 - process.uptime()
  make.mirror('process_start_time_seconds', 'When this process started, Unix time.', [], () => [
    [{}, startedAt],
  ])
}

function countDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return 0
  }
}
