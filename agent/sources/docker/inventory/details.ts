import type { ContainerDetails, Healthcheck, Limits, Mount } from '../../../model/container.ts'
import { boundedArgv, boundedText } from '../client/bounded.ts'
import { type JsonObject, listOf, numberOf, objectOf, textOf, textsOf } from '../../../lib/json-object.ts'

/** A container's configuration and state, from its inspect. */
export function detailsOf(inspect: JsonObject): ContainerDetails {
  const state = objectOf(inspect['State'])
  const config = objectOf(inspect['Config'])
  const host = objectOf(inspect['HostConfig'])
  return {
    pid: numberOf(state['Pid']),
    startedAt: timeOf(state['StartedAt']),
    user: boundedText(textOf(config['User'])),
    tty: config['Tty'] === true,
    healthcheck: healthcheckOf(config),
    limits: limitsOf(host),
    privileged: host['Privileged'] === true,
    capabilitiesAdded: textsOf(host['CapAdd']),
    capabilitiesDropped: textsOf(host['CapDrop']),
    securityOptions: textsOf(host['SecurityOpt']),
    mounts: listOf(inspect['Mounts']).map(mountOf),
    pidMode: textOf(host['PidMode']),
    command: boundedArgv(
      [textOf(inspect['Path']), ...textsOf(inspect['Args'])].slice(inspect['Path'] ? 0 : 1),
    ),
    runtime: textOf(host['Runtime']),
    maskedPaths: textsOf(host['MaskedPaths']),
    readonlyPaths: textsOf(host['ReadonlyPaths']),
    appArmorProfile: textOf(inspect['AppArmorProfile']),
    processLabel: textOf(inspect['ProcessLabel']),
    workingDirectory: boundedText(textOf(config['WorkingDir'])),
    restartCount: numberOf(inspect['RestartCount']),
    oomKilled: state['OOMKilled'] === true,
    execIds: textsOf(inspect['ExecIDs']),
  }
}

/** Converts an engine time to epoch milliseconds; 0 for the year 1, which means never. */
export function timeOf(value: unknown): number {
  const time = Date.parse(textOf(value))
  return time > 0 ? time : 0
}

/** Builds the argv like `getProbe` and `getShell` in moby's daemon/health.go. */
function healthcheckOf(config: JsonObject): Healthcheck | null {
  const healthcheck = objectOf(config['Healthcheck'])
  const [kind, ...words] = textsOf(healthcheck['Test'])
  const intervals = {
    intervalSeconds: numberOf(healthcheck['Interval']) / 1e9 || defaultIntervalSeconds,
    ...(numberOf(healthcheck['StartPeriod']) > 0 && {
      startIntervalSeconds: numberOf(healthcheck['StartInterval']) / 1e9 || defaultStartIntervalSeconds,
    }),
  }
  if (kind === 'CMD') return { argv: boundedArgv(words), ...intervals }
  if (kind !== 'CMD-SHELL') return null
  const shell = textsOf(config['Shell'])
  return { argv: boundedArgv([...(shell.length > 0 ? shell : ['/bin/sh', '-c']), ...words]), ...intervals }
}

const defaultIntervalSeconds = 30
// Docker 25 and newer; older releases have no start interval.
const defaultStartIntervalSeconds = 5

function limitsOf(host: JsonObject): Limits {
  return {
    memoryBytes: positive(numberOf(host['Memory'])),
    cpus: positive(numberOf(host['NanoCpus']) / 1e9) ?? quotaCpus(host),
    pids: positive(numberOf(host['PidsLimit'])),
  }
}

/** Cores from the older pair of settings, which `--cpus` leaves at 0. */
function quotaCpus(host: JsonObject): number | null {
  const quota = positive(numberOf(host['CpuQuota']))
  return quota === null ? null : quota / (positive(numberOf(host['CpuPeriod'])) ?? defaultPeriodMicroseconds)
}

// Kernel: Documentation/scheduler/sched-bwc.rst.
const defaultPeriodMicroseconds = 100_000

function positive(value: number): number | null {
  return value > 0 ? value : null
}

function mountOf(value: unknown): Mount {
  const mount = objectOf(value)
  return {
    type: textOf(mount['Type']),
    source: textOf(mount['Source']),
    destination: textOf(mount['Destination']),
    writable: mount['RW'] === true,
  }
}
