/** One value at one time. */
export type Sample = { hours: number; value: number }

/** The trend of a value over a run. */
export type Trend = { first: number; last: number; perHour: number; isFlat: boolean }

/**
 * Compares the medians of the first and the last quarter: a leak is higher at the end, a mere fluctuation is not.
 * `slack` is the insignificant variation of the value; a growth of up to a twentieth counts as flat too.
 */
export function trendOf(samples: readonly Sample[], slack: number): Trend {
  const quarter = Math.max(1, Math.floor(samples.length / 4))
  const values = samples.map(({ value }) => value)
  const [first, last] = [median(values.slice(0, quarter)), median(values.slice(-quarter))]
  return { first, last, perHour: slopeOf(samples), isFlat: last <= Math.max(first * 1.05, first + slack) }
}

/** The slope of the least-squares line. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length
  const x = mean(samples.map(({ hours }) => hours))
  const y = mean(samples.map(({ value }) => value))
  const up = samples.reduce((sum, { hours, value }) => sum + (hours - x) * (value - y), 0)
  const across = samples.reduce((sum, { hours }) => sum + (hours - x) ** 2, 0)
  return across === 0 ? 0 : up / across
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
