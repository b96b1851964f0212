import { libc, SystemCallError } from './libc.ts'

/** Time since boot and its offset to other clocks: kernel events use different clocks, and users want the date. */
export type BootClock = {
  /** Milliseconds since boot, including time suspended (CLOCK_BOOTTIME). */
  sinceBoot(): number
  /** Add this to get epoch milliseconds. Only a step of the wall clock changes it. */
  epochOffset(): number
  /** Milliseconds suspended so far, which CLOCK_MONOTONIC does not count. */
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
  time: Uint32Array,
) => number

// A timespec of two 64-bit numbers, read in halves: it is read for every process exit, and bigints cost six times as
// much.
const time = new Uint32Array(4)

function read(clock: number): number {
  if (clockGettime(clock, time) !== 0) throw new SystemCallError('clock_gettime')
  const [seconds = 0, highSeconds = 0, nanoseconds = 0] = time
  return (highSeconds * 2 ** 32 + seconds) * 1e3 + nanoseconds / 1e6
}

/** The best of several attempts: an interruption between two readings would look like a step of the clock. */
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
