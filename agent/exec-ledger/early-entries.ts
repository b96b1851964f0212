import { BoundedMap } from '../lib/bounded-map.ts'
import type { EnteredOrigin } from '../model/observation.ts'
import { hadStarted, wasRuntimeInit, type KnownExec } from './known-exec.ts'

/** The processes that named an exec before the engine reported it: the kernel is often faster. */
export type EarlyEntries = {
  record(containerId: string, origin: EnteredOrigin): void
  /** The first process of an exec that is known now, if it was recorded. */
  take(containerId: string, execId: string, exec: Pick<KnownExec, 'from'>): KnownExec['entry']
}

/**
 * A process can name any id, also that of an exec which was created and not started yet. Of those that started late
 * enough, one that was the runtime before its exec counts first.
 */
export function earlyEntries(): EarlyEntries {
  const known = new BoundedMap<string, readonly EnteredOrigin[]>(maxExecs)
  return {
    record(containerId, origin) {
      const key = `${containerId} ${origin.execId}`
      const earlier = known.get(key) ?? []
      const isKnown = earlier.some(({ entry }) => entry.pid === origin.entry.pid)
      if (!isKnown && earlier.length < maxProcesses) known.set(key, [...earlier, origin])
    },
    take(containerId, execId, exec) {
      const key = `${containerId} ${execId}`
      const possible = (known.get(key) ?? []).filter(({ entry }) => hadStarted(exec, entry.startedAt))
      known.delete(key)
      const { entry } = possible.find(wasRuntimeInit) ?? possible[0] ?? {}
      return entry === undefined ? null : { pid: entry.pid, startTicks: entry.startTicks }
    },
  }
}

// Events are seldom late for more than some seconds.
const maxExecs = 4_096

// Only an attacker makes more than one.
const maxProcesses = 4
