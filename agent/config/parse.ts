import type { z } from 'zod'
import type { DetectorSection, SectionSchemas } from './detectors-schema.ts'
import { isMapping, overlay } from './overrides.ts'
import { valueAt } from './yaml-positions.ts'
import { type Config, type ConfigSchema, detectorConfig } from './schema.ts'

export type ParsedValue = { config: Config } | { issues: readonly z.core.$ZodIssue[] }

/** Validates the content of a configuration file and resolves its overrides. */
export function parseValue(
  value: unknown,
  { schema, sections: schemas }: { schema: ConfigSchema; sections: SectionSchemas },
): ParsedValue {
  const result = schema.safeParse(value, { reportInput: true })
  const sections = Object.entries(schemas).map(([name, section]) => ({
    name,
    ...resolvedSection(name, section, value),
  }))
  const issues = [...(result.error?.issues ?? []), ...sections.flatMap((section) => section.issues)]
  if (!result.success || issues.length > 0) return { issues }
  const { data: config } = result
  for (const { name, overrides } of sections) detectorConfig(config, name).overrides = overrides
  return { config }
}

type Resolved = { overrides: DetectorSection['overrides']; issues: z.core.$ZodIssue[] }

/** Expands each override to a complete section, so that constraints between keys are checked too. */
function resolvedSection(name: string, schema: z.ZodObject, value: unknown): Resolved {
  const { overrides: given = [], ...own } = rawSection(value, name)
  const issues: z.core.$ZodIssue[] = []
  // Errors in the section itself are reported by the validation of the whole file.
  const section = schema.safeParse({ ...own, overrides: given })
  if (!section.success) return { overrides: [], issues }
  const { overrides: matched } = section.data as DetectorSection
  const overrides = given.flatMap(({ match: _match, ...over }, index) => {
    const result = schema.safeParse(overlay(own, over), { reportInput: true })
    const match = matched[index]?.match ?? {}
    if (result.success) return [{ match, section: result.data as DetectorSection }]
    const path = ['detectors', name, 'overrides', index]
    for (const issue of result.error.issues) issues.push({ ...issue, path: [...path, ...issue.path] })
    return []
  })
  return { overrides, issues }
}

type RawSection = Record<string, unknown> & { overrides?: readonly Record<string, unknown>[] }

/** Has this shape, or validation rejects it. */
function rawSection(value: unknown, name: string): RawSection {
  const section: unknown = valueAt(value, ['detectors', name])
  return isMapping(section) ? section : {}
}
