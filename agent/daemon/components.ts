import { hostname } from 'node:os'
import { monotonicFactory } from 'ulid'
import { detectors, techniqueOf } from '../../detectors/index.ts'
import { profileStates } from '../../detectors/unexpected-root-process/profile.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { createMetrics } from '../../exporters/prometheus/index.ts'
import { judgeVersions } from '../../detectors/runtime-path-write/vulnerable.ts'
import { receiversOf } from '../../exporters/receivers.ts'
import { runbookUrls } from '../../exporters/runbooks.ts'
import { currentConfig } from '../config/current.ts'
import { type Config, detectorConfig, detectorConfigFor } from '../config/schema.ts'
import { stateDirectory } from '../config/state-directory.ts'
import { createDockerClient } from '../sources/docker/client/client.ts'
import { endpointOf } from '../sources/docker/client/endpoint.ts'
import { dockerOptions } from '../sources/docker/client/options.ts'
import { execLedger } from '../exec-ledger/ledger.ts'
import { createFindings } from '../findings/findings.ts'
import { createLog, defaultFormat } from '../log/log.ts'
import type { Container } from '../model/container.ts'
import { sourceNames } from '../model/observation.ts'
import { createPolicy } from '../policy/policy.ts'
import { createThrottle, maxFolds } from '../policy/throttle.ts'
import { publicUrl } from './public-url.ts'
import { createPublisher } from './publisher.ts'
import type { Heartbeat } from '../service/heartbeat.ts'
import { sourceHealth } from './source-health.ts'
import { createSources } from './sources.ts'
import { storedCursor } from '../store/cursor.ts'
import { lockIfWritable } from '../store/lock.ts'
import { memoryOf } from '../store/memory.ts'
import { openStore } from '../store/store.ts'
import { version } from '../lib/version.ts'

export type ComponentsOptions = {
  /** Where a source reports that its loop is running. */
  pulseOf: Heartbeat['pulseOf']
  /** The address of the daemon's own web endpoint, known once it listens. */
  daemonUrl: () => string
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Creates the daemon's components and connects them. Locks the state directory and opens the store; nothing else runs
 * yet. Throws a `UserError` if another daemon uses the directory.
 */
export function createComponents(config: Config, { pulseOf, daemonUrl, now }: ComponentsOptions) {
  const host = config.host_name ?? hostname()
  const current = currentConfig(config)
  const configOf = (detector: string) => detectorConfig(current.now(), detector)
  const configFor = (detector: string, container: Container | null) =>
    detectorConfigFor(current.now(), detector, container)
  const runbookUrl = (alertName: string) => {
    const { runbook_base_url: configured, web } = current.now()
    return runbookUrls({ configured, daemon: publicUrl(daemonUrl(), host, web.external_url) })(alertName)
  }
  const receivers = current.derived((inUse) => receiversOf(inUse, { techniqueOf, runbookUrl }))
  const receiverNames = () => receivers().map(({ name }) => name)
  const directory = stateDirectory(config.state_directory, process.env)

  // Created before the log, which masks secrets from the first line.
  const policy = createPolicy({
    config: config.policy,
    now,
    onNotice: (message, entry) => log.warn(message, { entry }),
  })
  const { log, start: startLog } = createLog({
    level: config.log.level,
    format: config.log.format ?? defaultFormat(process.env),
    host,
    redact: (text) => policy.redact.text(text),
    onLost: (count) => metrics.logLinesLost(count),
  })
  const lock = lockIfWritable(directory)
  let storesMovedAside = 0
  const store = openStore({
    directory,
    onModeChange: (mode, reason) =>
      mode === 'file'
        ? log.info(reason, { store: mode })
        : log.warn(`findings are stored in memory and would be lost in a crash: ${reason}`, { store: mode }),
    onMovedAside: (reason) => {
      log.error(`created a new findings store: ${reason}`)
      storesMovedAside += 1
    },
    onLost: (count) => metrics.storeLost(count),
  })
  const execs = execLedger(
    memoryOf(store, 'execs'),
    (entry) => sources.leftOf(entry),
    (execId) => sources.isExecBeingInspected(execId),
  )
  const sources = createSources({
    config: current,
    client: createDockerClient(endpointOf({ ...dockerOptions(config.docker), env: process.env })),
    cursor: storedCursor(store, now),
    execOfSession: execs.execOfSession,
    pulseOf,
    now,
  })
  const { containers } = sources
  const health = sourceHealth(sourceNames)
  const findings = createFindings({
    host,
    now,
    newId: monotonicFactory(),
    configOf: configFor,
    allowedBy: policy.allowedBy,
    redact: policy.redact,
    firing: store.firing(),
    findByEventKey: store.findByEventKey,
  })
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
    storesMovedAside: () => storesMovedAside,
    maxSeries: config.web.max_series,
    profiles: () => profileStates(memoryOf(store, unexpectedRootProcess.name)),
    now,
  })
  const throttle = createThrottle({
    settings: () => current.now().policy.throttle,
    now,
    reported: store.eventsSince(now() - config.policy.throttle.fold, maxFolds),
  })
  const publisher = createPublisher({ findings, throttle, store, metrics, log, receivers, now })
  metrics.configurationLoaded(true, now())

  return {
    ...{ host, directory, current, configFor, receivers, receiverNames, policy, log, startLog, store, execs },
    ...{ sources, containers, health, findings, metrics, publisher },
    /** Closes the store and unlocks the state directory. */
    close(): void {
      store.close()
      lock?.release()
    },
  }
}

/** All components of the daemon. */
export type Components = ReturnType<typeof createComponents>
