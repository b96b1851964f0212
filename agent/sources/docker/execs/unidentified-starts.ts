import type { DockerEvent } from '../../../model/observation.ts'
import type { Exec } from './tracked-execs.ts'

/** Starts that do not say of which exec: they wait for one with their command, and are told alone if none comes. */
export type NamelessStarts = {
  add(start: DockerEvent, now: number): void
  /** The oldest start that can be this exec's. */
  take(exec: Exec): DockerEvent | undefined
  /** Tells those that were added before. */
  giveUp(before: number): void
}

export function createNamelessStarts(tellAlone: (start: DockerEvent) => void): NamelessStarts {
  let waiting: { start: DockerEvent; since: number }[] = []
  return {
    add(start, now) {
      waiting.push({ start, since: now })
      if (waiting.length > maxWaiting) tellAlone((waiting.shift() as (typeof waiting)[number]).start)
    },
    take(exec) {
      const index = waiting.findIndex(
        ({ start }) => start.actorId === exec.container.id && isStartOf(start, exec),
      )
      return index === -1 ? undefined : waiting.splice(index, 1)[0]?.start
    },
    giveUp(before) {
      const late = waiting.filter(({ since }) => since <= before)
      waiting = waiting.filter(({ since }) => since > before)
      for (const { start } of late) tellAlone(start)
    },
  }
}

const maxWaiting = 1_000

/** Whether an event can be the start of an exec, by its command: Podman's tells none. */
export function isStartOf({ detail }: DockerEvent, { inspect }: Exec): boolean {
  if (inspect === null || inspect === undefined) return false
  const [program, ...rest] = inspect.argv
  return detail === '' || detail === `${program} ${rest.join(' ')}`
}
