import { hostname } from 'node:os'
import { monotonicFactory } from 'ulid'
import { detectors } from '../../detectors/index.ts'
import { profileStates } from '../../detectors/unexpected-root-process/profile.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { createMetrics } from '../../exporters/prometheus/index.ts'
import { judgeVersions } from '../../detectors/runtime-path-write/vulnerable.ts'
import { receiversOf } from '../../exporters/receivers.ts'
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
import { createPublisher } from './publisher.ts'
import type { Heartbeat } from '../service/heartbeat.ts'
import { sourceHealth } from './source-health.ts'
import { createSources } from './sources.ts'
import { storedCursor } from '../store/cursor.ts'
import { lockIfWritable } from '../store/lock.ts'
import { memoryOf } from '../store/memory.ts'
import { openStore } from '../store/store.ts'
import { version } from '../lib/version.ts'

export type PartsOptions = {
  /** Where a source says that it goes round. */
  pulseOf: Heartbeat['pulseOf']
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * The daemon's parts, each with what it needs of the others. The state directory is locked and its store open; nothing
 * else runs yet. Throws a UserError where another daemon uses the directory.
 */
export function createParts(config: Config, { pulseOf, now }: PartsOptions) {
  const host = config.host_name ?? hostname()
  const current = currentConfig(config)
  const configOf = (detector: string) => detectorConfig(current.now(), detector)
  const configFor = (detector: string, container: Container | null) =>
    detectorConfigFor(current.now(), detector, container)
  const receivers = current.derived(receiversOf)
  const receiverNames = () => receivers().map(({ name }) => name)
  const directory = stateDirectory(config.state_directory, process.env)

  // Before the log, which hides what it calls secret from the first line on.
  const policy = createPolicy({ config: config.policy, now, onNotice: (line) => log.warn(line) })
  const log = createLog({
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
        ? log.info(reason)
        : log.warn(`findings are kept in memory only and would not survive a crash: ${reason}`),
    onMovedAside: (reason) => {
      log.error(`a new findings store is begun: ${reason}`)
      storesMovedAside += 1
    },
    onLost: (count) => metrics.storeLost(count),
  })
  const execs = execLedger(
    memoryOf(store, 'execs'),
    (entry) => sources.leftOf(entry),
    (execId) => sources.isExecAskedFor(execId),
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
    findByAct: store.findByAct,
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
    told: store.eventsSince(now() - config.policy.throttle.fold, maxFolds),
  })
  const publisher = createPublisher({ findings, throttle, store, metrics, log, receivers, now })
  metrics.configurationLoaded(true, now())

  return {
    ...{ host, directory, current, configFor, receivers, receiverNames, policy, log, store, execs },
    ...{ sources, containers, health, findings, metrics, publisher },
    /** Closes the store, and leaves the state directory to others. */
    close(): void {
      store.close()
      lock?.release()
    },
  }
}

/** What the daemon is made of. */
export type Parts = ReturnType<typeof createParts>
