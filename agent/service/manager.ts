import { openUnixDatagram } from '../linux/unix-datagram.ts'

/** What is told to systemd, by the names of sd_notify(3). */
export type Notice = Readonly<Partial<Record<'READY' | 'RELOADING' | 'STOPPING' | 'WATCHDOG', '1'>>> & {
  /** One line for `systemctl status`. */
  readonly STATUS?: string
  readonly MONOTONIC_USEC?: string
}

/** Whoever started the daemon and wants to know how it does. */
export type ServiceManager = {
  /** Tells at once, or together with the next notice when it is not taken now. */
  tell(notice: Notice): void
  /** The daemon is counted as hung when it says nothing for this time, milliseconds; null where nobody counts. */
  watchdogMs: number | null
}

type Environment = Record<string, string | undefined>

/**
 * The service manager by the environment it gave us; nobody, outside systemd. What concerns this process alone is
 * taken out of the environment, so that no program that is run by it can speak for it.
 */
export function serviceManager(environment: Environment, pid = process.pid): ServiceManager {
  const address = taken(environment, 'NOTIFY_SOCKET')
  const watchdogUs = Number(taken(environment, 'WATCHDOG_USEC') ?? 0)
  const watchdogPid = taken(environment, 'WATCHDOG_PID')
  if (address === undefined || address === '') return { tell: () => undefined, watchdogMs: null }
  const isWatched = watchdogUs > 0 && (watchdogPid === undefined || watchdogPid === String(pid))
  const socket = openUnixDatagram(address)
  let waiting: Notice = {}
  return {
    watchdogMs: isWatched ? watchdogUs / 1_000 : null,
    tell(notice) {
      waiting = { ...waiting, ...notice }
      if (socket.send(messageOf(waiting)) === null) waiting = {}
    },
  }
}

/** One assignment a line. */
export function messageOf(notice: Notice): string {
  return Object.entries(notice)
    .map(([name, value]) => `${name}=${value.replaceAll('\n', ' ')}`)
    .join('\n')
}

/** The beginning of a reload; systemd compares the time with its own (CLOCK_MONOTONIC). */
export function reloading(monotonicNs = process.hrtime.bigint()): Notice {
  return { RELOADING: '1', MONOTONIC_USEC: String(monotonicNs / 1_000n) }
}

function taken(environment: Environment, name: string): string | undefined {
  const value = environment[name]
  delete environment[name]
  return value
}
