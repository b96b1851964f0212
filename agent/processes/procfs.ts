import { setTimeout as sleep } from 'node:timers/promises'
import { courseOf, type Mode, nextTurnWithinMs } from './mode.ts'
import { prove } from './proof.ts'
import { scanProcesses } from './scan.ts'
import { processTracker } from './tracker.ts'

/** Looks through /proc again and again: what can be had without any rights, and blind for what lives between two looks. */
export const procfs: Mode = (surroundings) =>
  courseOf(async (emit, { signal, cleanUp }) => {
    const tracker = processTracker({ ...surroundings, emit })
    cleanUp(() => tracker.close())
    const look = () => scanProcesses({ ...surroundings, tracker, signal })
    await look()
    await prove(surroundings, { look, exits: false, signal })
    emit({ kind: 'attached', lacking: '' })
    for (;;) {
      surroundings.pulse(nextTurnWithinMs)
      await sleep(surroundings.intervalMs, undefined, { signal })
      await look()
    }
  })
