import type { Observation } from '../../../model/observation.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Attached, type Mode, nextTurnWithinMs } from './mode.ts'
import { collector } from '../../../lib/collector-task.ts'
import { prove } from './self-test.ts'
import { scanProcesses } from './scan.ts'
import { processTracker } from '../tracker.ts'

/** Looks through /proc again and again: what can be had without any rights, and blind for what lives between two looks. */
export const procfs: Mode = (surroundings) =>
  collector<Observation | Attached>(async (emit, { signal, cleanUp }) => {
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
