import type { DockerEvent } from '../../../model/observation.ts'
import type { EngineExec } from './tracked-execs.ts'

/**
 * Starts without an exec id. They wait for an exec with the same command; if none comes, they are reported without an
 * id.
 */
export type UnidentifiedStarts = {
  add(start: DockerEvent, now: number): void
  /** The oldest start that matches this exec. */
  take(exec: EngineExec): DockerEvent | undefined
  /** Reports those added before this time. */
  reportOverdue(before: number): void
}

export function createUnidentifiedStarts(report: (start: DockerEvent) => void): UnidentifiedStarts {
  let waiting: { start: DockerEvent; since: number }[] = []
  return {
    add(start, now) {
      waiting.push({ start, since: now })
      if (waiting.length > maxWaiting) report((waiting.shift() as (typeof waiting)[number]).start)
    },
    take(exec) {
      const index = waiting.findIndex(
        ({ start }) => start.actorId === exec.container.id && isStartOf(start, exec),
      )
      return index === -1 ? undefined : waiting.splice(index, 1)[0]?.start
    },
    reportOverdue(before) {
      const late = waiting.filter(({ since }) => since <= before)
      waiting = waiting.filter(({ since }) => since > before)
      for (const { start } of late) report(start)
    },
  }
}

const maxWaiting = 1_000

/** Whether an event can be the start of an exec, by its command. Podman's events have none. */
export function isStartOf({ detail }: DockerEvent, { inspect }: EngineExec): boolean {
  if (inspect === null || inspect === undefined) return false
  const [program, ...rest] = inspect.argv
  return detail === '' || detail === `${program} ${rest.join(' ')}`
}
