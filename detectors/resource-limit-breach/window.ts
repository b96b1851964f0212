/** Something with a time, in epoch milliseconds. */
type Timed = { time: number }

// A window keeps at most this many samples, however often a container is sampled.
const steps = 60

/**
 * Adds a sample to a trailing window, oldest first. Drops samples older than the span, except the newest of them, so
 * that the window covers the whole span. Starts again if the clock was set back.
 */
export function slide<T extends Timed>(window: readonly T[], next: T, spanMs: number): readonly T[] {
  const last = window.at(-1)
  if (last === undefined || next.time < last.time) return [next]
  const firstInside = window.findIndex(({ time }) => time > next.time - spanMs)
  const kept = window.slice(Math.max(0, (firstInside < 0 ? window.length : firstInside) - 1))
  return next.time - last.time >= spanMs / steps ? [...kept, next] : kept
}
