import type { Memory } from '../model/detector.ts'
import { type KnownExec, uninspectedExec } from './known-exec.ts'

/**
 * The execs that outlive the daemon: those still running, and those that left root or privileged processes running.
 */
export type StoredExecs = {
  /** By container, as an earlier run stored them. */
  all(): Iterable<[containerId: string, execs: Map<string, KnownExec>]>
  save(containerId: string, execs: ReadonlyMap<string, KnownExec>): void
  forget(containerId: string): void
}

/** Containers removed while no daemon ran are never reported as removed, so their number is limited. */
export function storedExecs(memory: Memory): StoredExecs {
  for (const key of memory.keys(keyPrefix).slice(maxStored)) memory.delete(key)
  const forget = (containerId: string) => memory.delete(keyPrefix + containerId)
  return {
    *all() {
      for (const key of memory.keys(keyPrefix))
        yield [key.slice(keyPrefix.length), parseExecs(memory.get(key))]
    },
    save(containerId, execs) {
      const stored = [...execs].filter(([, exec]) => outlivesDaemon(exec))
      if (stored.length === 0) forget(containerId)
      else memory.set(keyPrefix + containerId, JSON.stringify(stored))
    },
    forget,
  }
}

function outlivesDaemon({ to, left, asRoot, privileged }: KnownExec): boolean {
  return to === Infinity || (left.length > 0 && (asRoot || privileged))
}

/** Unreadable data is dropped. */
function parseExecs(text: string | null): Map<string, KnownExec> {
  try {
    const execs = JSON.parse(text ?? '[]') as [string, Partial<Record<keyof KnownExec, never>>][]
    return new Map(execs.map(([id, exec]) => [id, { ...uninspectedExec, ...exec, ...restored(exec) }]))
  } catch {
    return new Map()
  }
}

// JSON has no Infinity.
function restored({ to }: { to?: number | null }): Pick<KnownExec, 'to' | 'lookAt' | 'fromBefore'> {
  return { to: to ?? Infinity, lookAt: Infinity, fromBefore: true }
}

const keyPrefix = 'exec/'

const maxStored = 1_000
