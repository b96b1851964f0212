import { hostname } from 'node:os'
import type { Logger } from 'winston'
import { currentConfig } from '../config/current.ts'
import type { Config } from '../config/schema.ts'
import { stateDirectory } from '../config/state-directory.ts'
import { execLedger } from '../exec-ledger/ledger.ts'
import { bootClock } from '../linux/boot-clock.ts'
import { createLog, defaultFormat } from '../log/log.ts'
import { sourceNames } from '../model/observation.ts'
import { currentRedactor } from '../policy/current-redactor.ts'
import { createPolicy } from '../policy/policy.ts'
import type { Heartbeat } from '../service/heartbeat.ts'
import { createDockerClient } from '../sources/docker/client/client.ts'
import { endpointOf } from '../sources/docker/client/endpoint.ts'
import { dockerOptions } from '../sources/docker/client/options.ts'
import { processesOfEntry } from '../sources/processes/attribution/session-attribution.ts'
import { processTable } from '../sources/processes/table/table.ts'
import { readHostId } from '../store/host-id.ts'
import { storedCursor } from '../store/cursor.ts'
import { lockIfWritable } from '../store/lock.ts'
import { memoryOf } from '../store/memory.ts'
import { openStore, type Store } from '../store/store.ts'
import { dockerSources } from './docker-sources.ts'
import { createReporting } from './reporting.ts'
import { sourceHealth } from './source-health.ts'
import { createSources } from './sources.ts'

export type ComponentsOptions = {
  /** Where a source reports that its loop is running. */
  pulseOf: Heartbeat['pulseOf']
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Creates the daemon's components in the order of the data flow, each before those that use it. Locks the state
 * directory and opens the store until the result is disposed; nothing else runs yet. Throws a `UserError` if another
 * daemon uses the directory.
 */
export function createComponents(config: Config, { pulseOf, now }: ComponentsOptions) {
  using opened = new DisposableStack()
  const host = config.host_name ?? hostname()
  const directory = stateDirectory(config.state_directory, process.env)
  const current = currentConfig(config)

  const redact = currentRedactor(current)
  const daemonLog = createLog({
    level: config.log.level,
    format: config.log.format ?? defaultFormat(process.env),
    host,
    redact: redact.text,
  })
  const { log, start: startLog } = daemonLog
  const onNotice = (message: string, entry: string) => log.warn(message, { entry })
  const policy = createPolicy({ config: config.policy, now, onNotice })

  const lock = lockIfWritable(directory)
  opened.defer(() => lock?.release())
  const store = openLoggedStore(directory, log)
  opened.defer(store.close)

  const docker = dockerSources({
    client: createDockerClient(endpointOf({ ...dockerOptions(config.docker), env: process.env })),
    cursor: storedCursor(store, now),
    pulse: pulseOf('containers'),
    now,
  })
  const { containers } = docker
  // The ledger needs to know which processes run and the process source needs the ledger, so both share the table.
  const table = processTable({ clock: bootClock() })
  const execs = execLedger(
    memoryOf(store, 'execs'),
    (entry) => processesOfEntry(table, entry),
    docker.isBeingInspected,
  )
  const { execOfSession } = execs
  const sources = createSources({ config: current, docker, table, execOfSession, pulseOf, now })
  const health = sourceHealth(sourceNames)

  const shared = { host, current, policy, store, containers, health }
  const hostId = readHostId(directory, host)
  const reporting = createReporting({ ...shared, hostId, redact, daemonLog, now })

  const resources = opened.move()
  return {
    ...shared,
    ...reporting,
    ...{ directory, log, startLog, execs, sources },
    /** Closes the store and unlocks the state directory. */
    [Symbol.dispose]: () => resources.dispose(),
  }
}

/** All components of the daemon. */
export type Components = ReturnType<typeof createComponents>

function openLoggedStore(directory: string, log: Logger): Store {
  return openStore({
    directory,
    onModeChange: (mode, reason) =>
      mode === 'file'
        ? log.info(reason, { store: mode })
        : log.warn(`findings are stored in memory and would be lost in a crash: ${reason}`, { store: mode }),
    onMovedAside: (reason) => log.error(`created a new findings store: ${reason}`),
  })
}
