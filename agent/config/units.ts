import { z } from 'zod'

const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const
const durationPattern = /^(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?$/

/** Parses a duration in Prometheus' format (`30s`, `1h30m`, `7d`) to milliseconds; undefined if invalid. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text)
  if (match === null || text === '') return undefined
  const parts = Object.values(unitMs).map((ms, index) => Number(match[index + 1] ?? 0) * ms)
  return parts.reduce((total, part) => total + part, 0)
}

const unitBytes = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const

/** Parses a size with a binary unit (`256MiB`) to bytes; undefined if invalid. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(B|KiB|MiB|GiB|TiB)$/.exec(text)
  if (match === null) return undefined
  return Math.round(Number(match[1]) * unitBytes[match[2] as keyof typeof unitBytes])
}

type Bounds = { min?: string; max?: string }

/** A schema for a duration with a default, as milliseconds; at least 1 ms unless `min` is given. */
export function duration(defaultText: string, { min = '1ms', max = '3650d' }: Bounds = {}) {
  return quantity('duration', parseDuration, { min, max }, '30s, 5m or 1h30m').prefault(defaultText)
}

/** A schema for a size with a default, as bytes. */
export function size(defaultText: string, { min = '1B', max = '1024TiB' }: Bounds = {}) {
  return quantity('size', parseSize, { min, max }, '64KiB or 256MiB').prefault(defaultText)
}

const patterns = {
  duration: '^(?=.)(\\d+d)?(\\d+h)?(\\d+m)?(\\d+s)?(\\d+ms)?$',
  size: '^\\d+(\\.\\d+)?(B|KiB|MiB|GiB|TiB)$',
} as const

function quantity(
  name: 'duration' | 'size',
  parse: (text: string) => number | undefined,
  { min, max }: Required<Bounds>,
  examples: string,
) {
  const what = `a ${name} such as ${examples}`
  const least = parse(min) ?? 0
  const most = parse(max) ?? Number.MAX_SAFE_INTEGER
  // For editors and the reference.
  const described = { quantity: name, range: `${min} to ${max}`, pattern: patterns[name] }
  const written = z.string({ error: `expected ${what}` }).meta(described)
  return written.transform((text, context) => {
    const value = parse(text)
    if (value !== undefined && value >= least && value <= most) return value
    const message = value === undefined ? `expected ${what}` : `must be between ${min} and ${max}`
    context.issues.push({ code: 'custom', message, input: text })
    return z.NEVER
  })
}
