import { z } from 'zod'
import { messageOf } from '../lib/errors.ts'
import { duration } from './units.ts'

/** A date includes the whole day in UTC: an entry valid until the 31st still applies on the 31st. */
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

/** Checks of the policy's expression language, which the configuration itself does not know. */
export type PolicyLanguage = {
  /** The error in an expression and its offset; null if there is none. */
  problemOf: (expression: string) => { offset: number; message: string } | null
  /** Compiles a pattern; throws if it is invalid. */
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
        context.addIssue({
          code: 'custom',
          message: 'the pattern matches the empty string, and so matches everywhere',
        })
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) })
      }
    })
}

/** The section `policy`: which findings are allowed, what is redacted, and how findings are throttled. */
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
              .describe('Why this is allowed; stored with each suppressed finding.'),
            when: whenOf(language).describe(
              'CEL expression over the finding. Findings for which it is true are suppressed.',
            ),
            until: until
              .optional()
              .describe(
                'Last day (UTC) or exact time at which the entry applies; without it, the entry never expires.',
              ),
          }),
        )
        .max(1_000)
        .default([])
        .describe(
          'Expected behaviour: matching findings are counted and stored as suppressed, and not sent.',
        ),
      trust_labels: z
        .boolean()
        .default(false)
        .describe(
          'Whether the label tidewatch.allow/<rule> of a container allows that rule in the container. Image authors can set labels.',
        ),
      redact: z
        .array(patternOf(language))
        .max(100)
        .default([])
        .describe(
          'Additional RE2 patterns for secrets. The first group, or the whole match, is replaced by ***.',
        ),
      redact_secrets: z
        .boolean()
        .default(true)
        .describe('Replaces passwords, tokens and keys that are recognised by format or name with ***.'),
      throttle: z
        .strictObject({
          fold: duration('5m', { min: '0s', max: '1d' }).describe(
            'How long repeats of a finding are merged into the first one; 0s reports each.',
          ),
          per_container: z
            .int()
            .min(1)
            .max(1_000_000)
            .default(60)
            .describe('Maximum findings per minute for each container and severity.'),
          per_rule: z
            .int()
            .min(1)
            .max(1_000_000)
            .default(600)
            .describe('Maximum findings per minute for each rule.'),
        })
        .prefault({}),
    })
    .prefault({})
}

export type PolicyConfig = z.output<ReturnType<typeof policySchemaOf>>
