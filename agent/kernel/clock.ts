import { libc, SystemCallError } from './libc.ts'

/** The kernel stamps events by different clocks, people want the date: one clock, and what lies between. */
export type BootClock = {
  /** Milliseconds since boot, time asleep included (CLOCK_BOOTTIME). */
  sinceBoot(): number
  /** What makes epoch milliseconds of it now; a step of the wall clock changes it, nothing else does. */
  epochOffset(): number
  /** Milliseconds asleep so far: what a clock lacks that stands still meanwhile (CLOCK_MONOTONIC). */
  asleep(): number
}

/** The clocks of this machine. */
export function bootClock(): BootClock {
  return {
    sinceBoot: () => read(CLOCK_BOOTTIME),
    epochOffset: () => aheadOfBoottime(CLOCK_REALTIME),
    asleep: () => -aheadOfBoottime(CLOCK_MONOTONIC),
  }
}

const CLOCK_REALTIME = 0
const CLOCK_MONOTONIC = 1
const CLOCK_BOOTTIME = 7

const clockGettime = libc.func('int clock_gettime(int clock, void *time)') as (
  clock: number,
  time: BigInt64Array,
) => number

function read(clock: number): number {
  const time = new BigInt64Array(2)
  if (clockGettime(clock, time) !== 0) throw new SystemCallError('clock_gettime')
  return Number(time[0]) * 1e3 + Number(time[1]) / 1e6
}

/** The best of a few tries: being interrupted between two readings would show as a step of the clock. */
function aheadOfBoottime(clock: number): number {
  let best = { ahead: 0, spread: Infinity }
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = read(CLOCK_BOOTTIME)
    const other = read(clock)
    const after = read(CLOCK_BOOTTIME)
    if (after - before < best.spread) best = { ahead: other - (before + after) / 2, spread: after - before }
  }
  return best.ahead
}
