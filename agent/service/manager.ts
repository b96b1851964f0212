import { openUnixDatagram } from '../linux/unix-datagram.ts'

/** A notification for systemd, with the variable names of sd_notify(3). */
export type Notice = Readonly<Partial<Record<'READY' | 'RELOADING' | 'STOPPING' | 'WATCHDOG', '1'>>> & {
  /** One line for `systemctl status`. */
  readonly STATUS?: string
  readonly MONOTONIC_USEC?: string
}

/** The service manager that started the daemon. */
export type ServiceManager = {
  /** Sends the notice, or merges it into the next one if it cannot be sent now. */
  notify(notice: Notice): void
  /** Milliseconds without a watchdog notice after which the daemon counts as hung; null without a watchdog. */
  watchdogMs: number | null
}

type Environment = Record<string, string | undefined>

/**
 * The service manager described by the environment; outside systemd, one that does nothing. Removes the variables
 * from the environment, so that child processes cannot send notices in the daemon's name.
 */
export function serviceManager(environment: Environment, pid = process.pid): ServiceManager {
  const address = take(environment, 'NOTIFY_SOCKET')
  const watchdogUs = Number(take(environment, 'WATCHDOG_USEC') ?? 0)
  const watchdogPid = take(environment, 'WATCHDOG_PID')
  if (address === undefined || address === '') return { notify: () => undefined, watchdogMs: null }
  const hasWatchdog = watchdogUs > 0 && (watchdogPid === undefined || watchdogPid === String(pid))
  const socket = openUnixDatagram(address)
  let waiting: Notice = {}
  return {
    watchdogMs: hasWatchdog ? watchdogUs / 1_000 : null,
    notify(notice) {
      waiting = { ...waiting, ...notice }
      if (socket.send(messageOf(waiting)) === null) waiting = {}
    },
  }
}

/** One assignment per line. */
export function messageOf(notice: Notice): string {
  return Object.entries(notice)
    .map(([name, value]) => `${name}=${value.replaceAll('\n', ' ')}`)
    .join('\n')
}

/** Announces a reload; systemd compares the time with its own clock (CLOCK_MONOTONIC). */
export function reloading(monotonicNs = process.hrtime.bigint()): Notice {
  return { RELOADING: '1', MONOTONIC_USEC: String(monotonicNs / 1_000n) }
}

function take(environment: Environment, name: string): string | undefined {
  const value = environment[name]
  delete environment[name]
  return value
}
