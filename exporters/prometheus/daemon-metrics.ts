import { readdirSync } from 'node:fs'
import {
  type Observation,
  type SourceName,
  type SourceStatus,
  sourceOfKind,
} from '../../agent/model/observation.ts'
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
  storeFindingsLost: () => number
  logLinesLost: () => number
  /** Epoch milliseconds. */
  now: () => number
  statuses: () => readonly SourceStatus[]
}

// A webhook without new findings is not measured, and its clock may have been fixed.
const skewLifetimeMs = 3_600_000

/** Metrics about tidewatch itself: sources, losses, deliveries, the process. */
export function createDaemonMetrics(make: Instruments, options: DaemonMetricsOptions) {
  const { version, sources, detectors, statuses } = options
  make.mirror(
    'tidewatch_build_info',
    'Always 1; the labels are the versions in use.',
    ['version', 'node_version'],
    () => [[{ version, node_version: process.versions.node }, 1]],
  )
  make.mirror('tidewatch_source_up', '1 while the source is attached.', ['source'], () =>
    sources.map((source) => [
      { source },
      statuses().some((status) => status.source === source && status.up) ? 1 : 0,
    ]),
  )
  make.mirror('tidewatch_source_mode', '1 for the current mode of the source.', ['source', 'mode'], () =>
    statuses()
      .filter(({ up }) => up)
      .map(({ source, mode }) => [{ source, mode }, 1]),
  )
  const events = make.counter('tidewatch_source_events_total', 'Events observed by the source, by type.', [
    'source',
    'type',
  ])
  const lost = make.counter(
    'tidewatch_source_events_lost_total',
    'Events that the source missed or dropped, by reason.',
    ['source', 'reason'],
  )
  const lastEvent = make.gauge(
    'tidewatch_source_last_event_timestamp_seconds',
    'Time of the last event of the source, Unix time.',
    ['source'],
  )
  const gaps = make.counter('tidewatch_docker_event_gaps_total', 'Gaps in the Docker event stream.')
  const execs = make.counter('tidewatch_execs_total', 'Execs started through the Docker API.', ['kind'])
  for (const kind of ['command', 'interactive', 'healthcheck']) execs.inc({ kind }, 0)

  const detectorErrors = make.counter(
    'tidewatch_detector_errors_total',
    'Times a detector failed and was restarted.',
    ['detector'],
  )
  for (const { name } of detectors) detectorErrors.inc({ detector: name }, 0)

  const notifications = make.counter(
    'tidewatch_notifications_total',
    'Notification attempts by outcome: delivered, failed (will be retried), rejected, expired.',
    ['receiver', 'outcome'],
  )
  const lastSuccess = make.gauge(
    'tidewatch_notification_last_success_timestamp_seconds',
    'Time of the last delivery to the receiver, Unix time; 0 if none since the daemon started.',
    ['receiver'],
  )
  const initialized = new Set<string>()
  function initializeReceivers(): void {
    for (const receiver of options.receivers) {
      for (const outcome of notificationOutcomes) notifications.inc({ receiver, outcome }, 0)
      if (!initialized.has(receiver)) lastSuccess.set({ receiver }, 0)
      initialized.add(receiver)
    }
  }
  initializeReceivers()
  make.mirror(
    'tidewatch_notification_queue_length',
    'Findings queued for delivery to the receiver.',
    ['receiver'],
    () => options.receivers.map((receiver) => [{ receiver }, options.notificationQueueLength(receiver)]),
  )
  const skews = new Map<string, { ms: number; at: number }>()
  make.mirror(
    'tidewatch_receiver_clock_skew_seconds',
    'How far the receiver’s clock is ahead of this host’s, by its responses of the last hour; negative if it is behind.',
    ['receiver'],
    () =>
      options.receivers.flatMap((receiver) => {
        const skew = skews.get(receiver)
        const isCurrent = skew !== undefined && options.now() - skew.at < skewLifetimeMs
        return isCurrent ? [[{ receiver }, skew.ms / 1_000] as const] : []
      }),
  )
  make.mirror(
    'tidewatch_store_up',
    '1 while findings are stored in the state directory; 0 while they are only in memory.',
    [],
    () => [[{}, options.storeMode() === 'file' ? 1 : 0]],
  )
  make.mirrorTotal(
    'tidewatch_store_moved_aside_total',
    'Times an unusable findings store was moved aside and a new one created.',
    [],
    () => [[{}, options.storesMovedAside()]],
  )
  make.mirrorTotal(
    'tidewatch_store_findings_lost_total',
    'Findings lost because the store was unavailable and the memory buffer was full.',
    [],
    () => [[{}, options.storeFindingsLost()]],
  )
  make.mirrorTotal(
    'tidewatch_log_lines_lost_total',
    'Log lines dropped because the log reader was too slow.',
    [],
    () => [[{}, options.logLinesLost()]],
  )
  const reloaded = make.gauge(
    'tidewatch_config_last_reload_successful',
    '1 if the last configuration load succeeded; 0 if the previous configuration is still in use.',
  )
  const reloadedAt = make.gauge(
    'tidewatch_config_last_reload_success_timestamp_seconds',
    'Time of the last successful configuration load, Unix time.',
  )
  processMetrics(make)

  return {
    /** Events and losses by source, and execs. */
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
    receiversChanged: initializeReceivers,
    detectorFailed: (detector: string) => detectorErrors.inc({ detector }),
    notified(receiver: string, outcome: NotificationOutcome, count: number): void {
      notifications.inc({ receiver, outcome }, count)
      // Also for reminders (count 0): they are not new deliveries, but prove that the receiver is up.
      if (outcome === 'delivered') lastSuccess.set({ receiver }, options.now() / 1_000)
    },
    clockSkew(receiver: string, ms: number): void {
      skews.set(receiver, { ms, at: options.now() })
    },
    configurationLoaded: (successful: boolean, now: number) => {
      reloaded.set(successful ? 1 : 0)
      if (successful) reloadedAt.set(now / 1_000)
    },
  }
}

export const notificationOutcomes = ['delivered', 'failed', 'rejected', 'expired'] as const
export type NotificationOutcome = (typeof notificationOutcomes)[number]

function sourceOf(observation: Observation): SourceName {
  return 'source' in observation ? observation.source : sourceOfKind[observation.kind]
}

// The engine controls the action names of its events. It must not be able to create arbitrary label values.
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

/** The standard `process_*` metrics. Those of prom-client include others that promtool's linter rejects. */
function processMetrics(make: Instruments): void {
  make.mirrorTotal('process_cpu_seconds_total', 'CPU time used by this process, user and system.', [], () => {
    const { user, system } = process.cpuUsage()
    return [[{}, (user + system) / 1e6]]
  })
  make.mirror('process_resident_memory_bytes', 'Resident memory of this process.', [], () => [
    [{}, process.memoryUsage.rss()],
  ])
  make.mirror('process_open_fds', 'Open file descriptors of this process.', [], () => [
    [{}, countDescriptors()],
  ])
  const startedAt = Date.now() / 1_000 - process.uptime()
  make.mirror('process_start_time_seconds', 'Start time of this process, Unix time.', [], () => [
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
