import type { Memory } from '../model/detector.ts'
import { type KnownExec, unasked } from './known-exec.ts'

/** The execs that outlive the daemon: those that go on, and those that left root running. */
export type KeptExecs = {
  /** By container, as an earlier run left them. */
  all(): Iterable<[containerId: string, execs: Map<string, KnownExec>]>
  keep(containerId: string, execs: ReadonlyMap<string, KnownExec>): void
  forget(containerId: string): void
}

/** Of containers that went while no daemon ran nobody tells the end: there is room for so many. */
export function keptExecs(memory: Memory): KeptExecs {
  for (const key of memory.keys(space).slice(maxKept)) memory.delete(key)
  const forget = (containerId: string) => memory.delete(space + containerId)
  return {
    *all() {
      for (const key of memory.keys(space)) yield [key.slice(space.length), read(memory.get(key))]
    },
    keep(containerId, execs) {
      const kept = [...execs].filter(([, exec]) => isToBeKept(exec))
      if (kept.length === 0) forget(containerId)
      else memory.set(space + containerId, JSON.stringify(kept))
    },
    forget,
  }
}

function isToBeKept({ to, left, asRoot, privileged }: KnownExec): boolean {
  return to === Infinity || (left.length > 0 && (asRoot || privileged))
}

/** What cannot be read is forgotten. */
function read(text: string | null): Map<string, KnownExec> {
  try {
    const execs = JSON.parse(text ?? '[]') as [string, Partial<Record<keyof KnownExec, never>>][]
    return new Map(execs.map(([id, exec]) => [id, { ...unasked, ...exec, ...renewed(exec) }]))
  } catch {
    return new Map()
  }
}

// Infinity has no JSON.
function renewed({ to }: { to?: number | null }): Pick<KnownExec, 'to' | 'lookAt' | 'fromBefore'> {
  return { to: to ?? Infinity, lookAt: Infinity, fromBefore: true }
}

const space = 'exec/'

const maxKept = 1_000
