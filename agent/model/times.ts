import type { Detection } from './finding.ts'
import type { ExecObservation, ProcessObservation } from './observation.ts'

type Times = Pick<Detection, 'time' | 'lastSeen'>

/** Dates a detection about an exec, which may have been running for a while when it was found. */
export function timesOfExec({ time, foundAt }: Pick<ExecObservation, 'time' | 'foundAt'>): Times {
  return foundAt === undefined ? { time } : { time, lastSeen: foundAt }
}

/** Dates a detection about a process, which may have been running for a while when it was found. */
export function timesOfProcess({ time, since }: Pick<ProcessObservation, 'time' | 'since'>): Times {
  return since === undefined ? { time } : { time: Math.min(since, time), lastSeen: time }
}
