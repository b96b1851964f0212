import { BoundedMap, BoundedSet } from '../../../lib/bounded-map.ts'
import type { Container } from '../../../model/container.ts'
import type { ExecEnded } from '../../../model/observation.ts'
import type { ExecInspect } from './exec-inspect.ts'

/**
 * What the engine's events and inspects have said so far of one exec, until its end is reported. Times are epoch
 * milliseconds. What was reported is recorded in `agent/exec-ledger`.
 */
export type EngineExec = {
  id: string
  /** As of the exec's first event; the inventory may know more by now. */
  container: Container
  /** The argv joined by spaces, as in events; empty if no event had one. */
  commandLine: string
  /** Undefined while the inspect is pending, null if it gave no result. */
  inspect: ExecInspect | null | undefined
  /** Start time from the event, or from the kernel if it was found running; null before that. */
  startedAt: number | null
  /** When it was found running, if no event reported its start. */
  foundAt: number | null
  /** When it was last mentioned by an event or an inspect. */
  lastSeenAt: number
  reported: boolean
  end: ExecEnd | null
  /** When to check whether it is running, unless an event reports its end first; null for never. */
  checkAt: number | null
}

export type ExecEnd = Pick<ExecEnded, 'time' | 'exitCode' | 'hasFailedToStart'>

/** An exec known only from an event or a listing. */
export function newEngineExec(
  known: Pick<EngineExec, 'id' | 'container' | 'commandLine' | 'lastSeenAt'>,
): EngineExec {
  return {
    ...known,
    inspect: undefined,
    startedAt: null,
    foundAt: null,
    reported: false,
    end: null,
    checkAt: null,
  }
}

/** The execs whose end is not reported yet, and the ids of enough ended ones that none is reported twice. */
export type TrackedExecs = {
  get(id: string): EngineExec | undefined
  /** Whether its end was reported, or it was evicted. */
  isDone(id: string): boolean
  /** When full, evicts the oldest and calls `onEvicted`. */
  add(exec: EngineExec): void
  done(id: string): void
  /** Drops an exec that was never reported. */
  forget(id: string): void
  /** Those not done, oldest first. */
  open(): Iterable<EngineExec>
  openIn(containerId: string): EngineExec[]
}

export function trackedExecs(onEvicted: (exec: EngineExec) => void, limits = defaultLimits): TrackedExecs {
  const open = new BoundedMap<string, EngineExec>(limits.open, evicted)
  const byContainer = new Map<string, Set<EngineExec>>()
  const ended = new BoundedSet<string>(limits.ended)

  function forget(id: string): void {
    const exec = open.get(id)
    if (exec === undefined) return
    open.delete(id)
    removeFromContainer(exec)
  }

  function removeFromContainer(exec: EngineExec): void {
    const siblings = byContainer.get(exec.container.id)
    siblings?.delete(exec)
    if (siblings?.size === 0) byContainer.delete(exec.container.id)
  }

  function done(id: string): void {
    forget(id)
    ended.add(id)
  }

  function evicted(exec: EngineExec): void {
    removeFromContainer(exec)
    ended.add(exec.id)
    onEvicted(exec)
  }

  return {
    get: (id) => open.get(id),
    isDone: (id) => ended.has(id),
    add(exec) {
      open.set(exec.id, exec)
      const siblings = byContainer.get(exec.container.id)
      if (siblings === undefined) byContainer.set(exec.container.id, new Set([exec]))
      else siblings.add(exec)
    },
    done,
    forget,
    open: () => open.values(),
    openIn: (containerId) => [...(byContainer.get(containerId) ?? [])],
  }
}

const defaultLimits = { open: 10_000, ended: 20_000 }
