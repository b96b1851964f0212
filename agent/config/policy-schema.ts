import { z } from 'zod'
import { messageOf } from '../lib/errors.ts'
import { duration } from './units.ts'

/** A day in UTC counts as a whole: what is allowed until the 31st is allowed on the 31st. */
const until = z
  .string({ error: 'expected a date like 2026-12-31, or a time like 2026-12-31T18:00:00Z' })
  .transform((text, context) => {
    const isDay = /^\d{4}-\d\d-\d\d$/.test(text)
    const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)$/.test(text)
    const time = isDay ? Date.parse(`${text}T23:59:59.999Z`) : isTime ? Date.parse(text) : Number.NaN
    const isReal = !isDay || (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text))
    if (!Number.isNaN(time) && isReal) return time
    const message = 'expected a date like 2026-12-31, or a time like 2026-12-31T18:00:00Z'
    context.issues.push({ code: 'custom', message, input: text })
    return z.NEVER
  })

/** What the policy's own language checks, which is not the configuration's business. */
export type PolicyLanguage = {
  /** What is wrong with an expression, and where in it; null for nothing. */
  problemOf: (expression: string) => { offset: number; message: string } | null
  /** Compiles a pattern, or throws what is wrong with it. */
  compilePattern: (pattern: string) => { test(text: string): boolean }
}

function whenOf({ problemOf }: PolicyLanguage) {
  return z.string().superRefine((text, context) => {
    const problem = problemOf(text)
    if (problem === null) return
    context.addIssue({ code: 'custom', message: problem.message, params: { offset: problem.offset } })
  })
}

function patternOf({ compilePattern }: PolicyLanguage) {
  return z
    .string()
    .min(1)
    .superRefine((text, context) => {
      try {
        if (!compilePattern(text).test('')) return
        context.addIssue({ code: 'custom', message: 'the pattern matches an empty text, and so everywhere' })
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) })
      }
    })
}

/** What is allowed, hidden and held back between a detector and everybody who is told: the section `policy`. */
export function policySchemaOf(language: PolicyLanguage) {
  return z
    .strictObject({
      allow: z
        .array(
          z.strictObject({
            reason: z
              .string()
              .trim()
              .min(1)
              .max(200)
              .describe('Why it is allowed; kept with every finding that is.'),
            when: whenOf(language).describe(
              'CEL expression over the finding; what it is true for is not sent.',
            ),
            until: until
              .optional()
              .describe('Last day (UTC) or moment on which it is in force; always in force by default.'),
          }),
        )
        .max(1_000)
        .default([])
        .describe('What is known and wanted: it is counted and stored as suppressed, and not sent.'),
      trust_labels: z
        .boolean()
        .default(false)
        .describe(
          'Whether a container’s label tidewatch.allow/<rule> allows that rule in it; whoever makes an image can set labels.',
        ),
      redact: z
        .array(patternOf(language))
        .max(100)
        .default([])
        .describe(
          'Further patterns (RE2) of what is secret: their first group, or all of them, becomes ***.',
        ),
      redact_secrets: z
        .boolean()
        .default(true)
        .describe('Whether passwords, tokens and keys that are known by their form or name become ***.'),
      throttle: z
        .strictObject({
          fold: duration('5m', { min: '0s', max: '1d' }).describe(
            'How long repetitions of a finding are folded into it, from the first on; 0s tells each.',
          ),
          per_container: z
            .int()
            .min(1)
            .max(1_000_000)
            .default(60)
            .describe('Findings a minute of one severity in one container that are told.'),
          per_rule: z
            .int()
            .min(1)
            .max(1_000_000)
            .default(600)
            .describe('Findings a minute of one rule that are told.'),
        })
        .prefault({}),
    })
    .prefault({})
}

export type PolicyConfig = z.output<ReturnType<typeof policySchemaOf>>
