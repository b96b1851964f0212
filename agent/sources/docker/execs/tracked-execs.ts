import type { Container } from '../../../model/container.ts'
import type { ExecInspect } from './exec-inspect.ts'

/** What is known of one exec until its end was told. Times are epoch milliseconds. */
export type Exec = {
  id: string
  /** As the first event of it showed it; the inventory may know more by now. */
  container: Container
  /** The argv joined by spaces, as events give it; empty when none did. */
  commandLine: string
  /** Undefined while the engine is asked, null when it could not tell. */
  inspect: ExecInspect | null | undefined
  /** When it was started, by the event; null before that. */
  startedAt: number | null
  /** When the last of it was heard. */
  heardAt: number
  told: boolean
  end: ExecEnd | null
  /** When to look whether it runs, if no event says so before; null for never. */
  checkAt: number | null
}

export type ExecEnd = { time: number; exitCode: number | null }

/** An exec of which only an event or a listing is known. */
export function newExec(known: Pick<Exec, 'id' | 'container' | 'commandLine' | 'heardAt'>): Exec {
  return { ...known, inspect: undefined, startedAt: null, told: false, end: null, checkAt: null }
}

/** Remembers execs by id: those going on, and so many of the ended ones that none is told twice. */
export type TrackedExecs = {
  get(id: string): Exec | undefined
  /** Whether its end was told, or it had to make room. */
  isDone(id: string): boolean
  /** Makes room by `onEvicted` of the oldest. */
  add(exec: Exec): void
  done(id: string): void
  /** Nothing was told of it. */
  forget(id: string): void
  /** Those not done, the oldest first. */
  open(): Iterable<Exec>
  openIn(containerId: string): Exec[]
}

export function trackedExecs(onEvicted: (exec: Exec) => void, limits = defaultLimits): TrackedExecs {
  const open = new Map<string, Exec>()
  const byContainer = new Map<string, Set<Exec>>()
  const ended = new Set<string>()

  function forget(id: string): void {
    const exec = open.get(id)
    if (exec === undefined) return
    open.delete(id)
    const siblings = byContainer.get(exec.container.id)
    siblings?.delete(exec)
    if (siblings?.size === 0) byContainer.delete(exec.container.id)
  }

  function done(id: string): void {
    forget(id)
    ended.add(id)
    if (ended.size > limits.ended) ended.delete(ended.values().next().value as string)
  }

  function evictOldest(): void {
    const oldest = open.values().next().value as Exec
    done(oldest.id)
    onEvicted(oldest)
  }

  return {
    get: (id) => open.get(id),
    isDone: (id) => ended.has(id),
    add(exec) {
      if (open.size >= limits.open) evictOldest()
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
