import type { Container } from '../../../model/container.ts'

/** An exec id taken from the command line of the runtime that started a process in a container. */
export type NamedExec = {
  execId: string
  container: Container
  /** When the process entered. */
  time: number
}

/** Execs named by processes, until an event reports them or the engine has answered an inspect. */
export type NamedExecs = {
  take(named: NamedExec): void
  /** Inspects those that no event has reported in time. */
  tick(): void
  isBeingInspected(execId: string): boolean
}

export type NamedExecsOptions = {
  /** Whether an event or an inspect has reported its start. */
  isKnown: (execId: string) => boolean
  /** Inspects it; calls `onDone` when the engine has answered or cannot be reached. */
  inspect: (named: NamedExec, onDone: () => void) => void
  lose: (reason: string) => void
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * The engine publishes an exec's event before its process runs, but on a busy host we can read it seconds later, and
 * an event can be lost. An inspect says at any time whether such an exec exists.
 */
export function createNamedExecs({ isKnown, inspect, lose, now }: NamedExecsOptions): NamedExecs {
  const waiting = new Map<string, { named: NamedExec; inspectAt: number }>()
  const inspecting = new Set<string>()
  return {
    take(named) {
      const { execId } = named
      if (!/^[0-9a-f]{64}$/.test(execId) || waiting.has(execId) || inspecting.has(execId) || isKnown(execId))
        return
      if (waiting.size >= maxWaiting) lose('queue-full')
      else waiting.set(execId, { named, inspectAt: now() + eventMs })
    },
    tick() {
      for (const [execId, { named, inspectAt }] of waiting) {
        if (inspectAt > now()) return
        waiting.delete(execId)
        if (isKnown(execId)) continue
        inspecting.add(execId)
        inspect(named, () => inspecting.delete(execId))
      }
    },
    isBeingInspected: (execId) => waiting.has(execId) || inspecting.has(execId),
  }
}

// Nearly always the event comes first and no inspect is needed.
const eventMs = 1_000
const maxWaiting = 1_000
