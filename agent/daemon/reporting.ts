import { monotonicFactory } from 'ulid'
import { detectors } from '../../detectors/index.ts'
import { judgeVersions } from '../../detectors/runtime-path-write/vulnerable.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { profileStates } from '../../detectors/unexpected-root-process/profile.ts'
import { createMetrics } from '../../exporters/prometheus/index.ts'
import { receiversOf } from '../../exporters/receivers.ts'
import type { CurrentConfig } from '../config/current.ts'
import { detectorConfig, detectorConfigFor } from '../config/schema.ts'
import { reopenMs } from '../findings/conditions.ts'
import { createFindings } from '../findings/findings.ts'
import { awaitedEvents } from '../findings/superseding-rules.ts'
import { version } from '../lib/version.ts'
import type { DaemonLog } from '../log/log.ts'
import type { Container, ContainerView } from '../model/container.ts'
import { sourceNames } from '../model/observation.ts'
import type { Redactor } from '../model/redactor.ts'
import type { Policy } from '../policy/policy.ts'
import { createRepeats, maxFolds } from '../policy/repeats.ts'
import { createThrottle } from '../policy/throttle.ts'
import { memoryOf } from '../store/memory.ts'
import type { Store } from '../store/store.ts'
import { createPublisher } from './publisher.ts'
import { queueForChangedReceivers } from './receiver-changes.ts'
import type { SourceHealth } from './source-health.ts'

export type ReportingOptions = {
  host: string
  hostId: string
  current: CurrentConfig
  redact: Redactor
  policy: Policy
  daemonLog: DaemonLog
  store: Store
  health: SourceHealth
  containers: ContainerView
  /** Epoch milliseconds. */
  now: () => number
}

/** What becomes of detections: the findings, the metrics, the receivers, and the publisher that serves them all. */
export function createReporting(options: ReportingOptions) {
  const { host, hostId, current, redact, policy, daemonLog, store, health, containers, now } = options
  const configOf = (detector: string) => detectorConfig(current.now(), detector)
  const configFor = (detector: string, container: Container | null) =>
    detectorConfigFor(current.now(), detector, container)
  const receivers = current.derived(receiversOf)
  const receiverNames = () => receivers().map(({ name }) => name)

  const findings = createFindings({
    host,
    hostId,
    now,
    newId: monotonicFactory(),
    configOf: configFor,
    allowedBy: policy.allowedBy,
    redact,
    firing: store.firing(),
    ended: store.endedSince(now() - reopenMs),
    findByEventKey: store.findByEventKey,
  })
  const awaitedBy = awaitedEvents({ detectors, configOf: configFor, isReported: findings.isReported })
  const metrics = createMetrics({
    judgeVersions,
    version,
    sources: sourceNames,
    statuses: health.statuses,
    detectors,
    configOf,
    firing: findings.firing,
    containers,
    get receivers() {
      return receiverNames()
    },
    allowEntries: policy.entries,
    notificationQueueLength: store.pending,
    storeMode: store.mode,
    storesMovedAside: store.movedAside,
    storeFindingsLost: store.lost,
    logLinesLost: daemonLog.lost,
    maxSeries: current.now().web.max_series,
    profiles: () => profileStates(memoryOf(store, unexpectedRootProcess.name)),
    now,
  })
  metrics.configurationLoaded(true, now())
  const policySettings = () => current.now().policy.throttle
  const repeats = createRepeats({
    foldMs: () => policySettings().fold,
    now,
    reported: store.eventsSince(now() - policySettings().fold, maxFolds),
  })
  const throttle = createThrottle({ settings: policySettings, now })
  const { log } = daemonLog
  const publisher = createPublisher({ findings, repeats, throttle, store, metrics, log, receivers, now })
  const queueForReceivers = queueForChangedReceivers({ store, receivers, firing: findings.firing, now })
  return { receivers, receiverNames, queueForReceivers, findings, awaitedBy, metrics, publisher }
}
