/** Something that was seen at one moment, epoch milliseconds. */
type Timed = { time: number }

// A window keeps this many samples at most, however often a container is looked at.
const steps = 60

/**
 * A trailing window with one more moment, the oldest first: drops what is older than its span but for the one
 * that reaches back over it, and starts anew when the clock was set back.
 */
export function slide<T extends Timed>(window: readonly T[], next: T, spanMs: number): readonly T[] {
  const last = window.at(-1)
  if (last === undefined || next.time < last.time) return [next]
  const firstInside = window.findIndex(({ time }) => time > next.time - spanMs)
  const kept = window.slice(Math.max(0, (firstInside < 0 ? window.length : firstInside) - 1))
  return next.time - last.time >= spanMs / steps ? [...kept, next] : kept
}
