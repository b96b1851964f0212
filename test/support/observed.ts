import { NEVER } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'

/** A host on which nothing happens; tests replace the streams they are about. */
export const silent: Observed = {
  containers$: NEVER,
  execs$: NEVER,
  execEnds$: NEVER,
  processes$: NEVER,
  resources$: NEVER,
  runtimeFiles$: NEVER,
  sourceStatuses$: NEVER,
  eventsLost$: NEVER,
}
