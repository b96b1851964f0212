import type { Observation } from '../../../model/observation.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Attached, type Mode, nextPulseWithinMs } from './mode.ts'
import { collector } from '../../../lib/collector-task.ts'
import { runSelfTest } from './self-test.ts'
import { scanProcesses } from './scan.ts'
import { processTracker } from '../tracker.ts'

/** Polls /proc: works without privileges, but misses processes that start and exit between two scans. */
export const procfs: Mode = (context) =>
  collector<Observation | Attached>(async (emit, { signal, cleanUp }) => {
    const tracker = processTracker({ ...context, emit })
    cleanUp(() => tracker.close())
    const scan = () => scanProcesses({ ...context, tracker, signal })
    await scan()
    await runSelfTest(context, { scan, exits: false, signal })
    emit({ kind: 'attached', lacking: '' })
    for (;;) {
      context.pulse(nextPulseWithinMs)
      await sleep(context.intervalMs, undefined, { signal })
      await scan()
    }
  })
