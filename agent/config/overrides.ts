import { z } from 'zod'
import type { Container } from '../model/container.ts'
import { matchSchema, isMatch, type Match } from './match.ts'

/** A detector's complete section for the containers that `match`. */
export type Override<Section> = { match: Match; section: Section }

/**
 * The overrides of a detector: any key that can differ by container, without defaults, because missing keys are taken
 * from the detector's own section.
 */
export function overridesSchema(section: z.ZodObject) {
  return z
    .array(
      z.strictObject({
        match: matchSchema.describe('Containers that the override applies to.'),
        ...sparseShape(section),
      }),
    )
    .max(1_000)
    .default([])
    .describe('Settings for some containers; the first override that matches applies.')
}

function sparseShape({ shape }: z.ZodObject): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, sparse(schema as z.ZodType)]))
}

/** The same schema without defaults, at every level. */
function sparse(schema: z.ZodType): z.ZodType {
  const { description } = schema
  let inner = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional)
    inner = inner.unwrap() as z.ZodType
  const bare = inner instanceof z.ZodObject ? z.strictObject(sparseShape(inner)) : inner
  const optional = bare.optional()
  const text = description ?? inner.description
  return text === undefined ? optional : optional.describe(text)
}

/** Merges an override into a section's value: mappings are merged, all other values are replaced. */
export function overlay(base: unknown, over: unknown): unknown {
  if (over === undefined) return base
  if (!isMapping(base) || !isMapping(over)) return over
  const keys = new Set([...Object.keys(base), ...Object.keys(over)])
  return Object.fromEntries([...keys].map((key) => [key, overlay(base[key], over[key])]))
}

/** The section that applies to a container: the first matching override, or the detector's own. */
export function sectionFor<Section extends { overrides: readonly Override<Section>[] }>(
  section: Section,
  container: Container | null,
): Section {
  if (container === null || section.overrides.length === 0) return section
  return section.overrides.find(({ match }) => isMatch(match, container))?.section ?? section
}

/** Whether a value is a YAML mapping. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
