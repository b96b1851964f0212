import { z } from 'zod'
import type { Container } from '../model/container.ts'
import { matchSchema, isMatch, type Match } from './match.ts'

/** A detector's section as it is for some containers; `section` is the whole of it. */
export type Override<Section> = { match: Match; section: Section }

/**
 * What may be said of a detector for some containers: any of its keys that can differ by container, without defaults,
 * because what is not said is taken from the detector's own section.
 */
export function overridesSchema(section: z.ZodObject) {
  return z
    .array(
      z.strictObject({ match: matchSchema.describe('Which containers it is for.'), ...sparseShape(section) }),
    )
    .max(1_000)
    .default([])
    .describe('What is different for some containers; the first that matches holds.')
}

function sparseShape({ shape }: z.ZodObject): Record<string, z.ZodType> {
  return Object.fromEntries(Object.entries(shape).map(([key, schema]) => [key, sparse(schema as z.ZodType)]))
}

/** The same without defaults, all the way down. */
function sparse(schema: z.ZodType): z.ZodType {
  const { description } = schema
  let inner = schema
  while (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault || inner instanceof z.ZodOptional)
    inner = inner.unwrap() as z.ZodType
  const bare = inner instanceof z.ZodObject ? z.strictObject(sparseShape(inner)) : inner
  const optional = bare.optional()
  const said = description ?? inner.description
  return said === undefined ? optional : optional.describe(said)
}

/** The value of a section with an override laid over it: mappings are merged, all else replaces what was there. */
export function overlay(base: unknown, over: unknown): unknown {
  if (over === undefined) return base
  if (!isMapping(base) || !isMapping(over)) return over
  const keys = new Set([...Object.keys(base), ...Object.keys(over)])
  return Object.fromEntries([...keys].map((key) => [key, overlay(base[key], over[key])]))
}

/** The section that holds for a container: the first override that matches, or the detector's own. */
export function sectionFor<Section extends { overrides: readonly Override<Section>[] }>(
  section: Section,
  container: Container | null,
): Section {
  if (container === null || section.overrides.length === 0) return section
  return section.overrides.find(({ match }) => isMatch(match, container))?.section ?? section
}

/** Whether a value is a mapping of YAML. */
export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
