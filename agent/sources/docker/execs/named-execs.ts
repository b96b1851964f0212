import type { Container } from '../../../model/container.ts'

/** An exec that a process names as what brought it into a container. */
export type NamedExec = {
  execId: string
  container: Container
  /** When the process came in. */
  time: number
}

/** Execs that processes name, until an event tells of them or the engine has said whether there is such an exec. */
export type NamedExecs = {
  take(named: NamedExec): void
  /** Asks for those of which no event has told in time. */
  tick(): void
  isAskedFor(execId: string): boolean
}

export type NamedExecsOptions = {
  /** Whether an event or an answer told of its start. */
  isKnown: (execId: string) => boolean
  /** Asks the engine; calls back when it has answered, or cannot be asked. */
  ask: (named: NamedExec, answered: () => void) => void
  lose: (reason: string) => void
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * The engine publishes an exec's event before its process runs, but on a busy host it can be read seconds later, and an
 * event can be lost. Whether there is such an exec the engine says at any time.
 */
export function createNamedExecs({ isKnown, ask, lose, now }: NamedExecsOptions): NamedExecs {
  const waiting = new Map<string, { named: NamedExec; askAt: number }>()
  const asked = new Set<string>()
  return {
    take(named) {
      const { execId } = named
      if (!/^[0-9a-f]{64}$/.test(execId) || waiting.has(execId) || asked.has(execId) || isKnown(execId))
        return
      if (waiting.size >= maxWaiting) lose('queue-full')
      else waiting.set(execId, { named, askAt: now() + eventMs })
    },
    tick() {
      for (const [execId, { named, askAt }] of waiting) {
        if (askAt > now()) return
        waiting.delete(execId)
        if (isKnown(execId)) continue
        asked.add(execId)
        ask(named, () => asked.delete(execId))
      }
    },
    isAskedFor: (execId) => waiting.has(execId) || asked.has(execId),
  }
}

// Nearly always the event comes first, and nothing has to be asked.
const eventMs = 1_000
const maxWaiting = 1_000
