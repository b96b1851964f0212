import type { z } from 'zod'
import { detectors } from '../../detectors/index.ts'
import { overlay } from './overrides.ts'
import { type Config, configSchema, detectorConfig, type DetectorSection, sectionSchemas } from './schema.ts'

export type ParsedValue = { config: Config } | { issues: readonly z.core.$ZodIssue[] }

/** Validates the value of a configuration file, and works out what its overrides come to. */
export function parseValue(value: unknown): ParsedValue {
  const result = configSchema.safeParse(value, { reportInput: true })
  if (!result.success) return { issues: result.error.issues }
  const config = result.data
  const issues = detectors.flatMap(({ name }) => resolveOverrides(name, value, config))
  return issues.length > 0 ? { issues } : { config }
}

/** Each override becomes the whole section it makes, so that what holds in it together is checked too. */
function resolveOverrides(name: string, value: unknown, config: Config): z.core.$ZodIssue[] {
  const section = detectorConfig(config, name)
  const issues: z.core.$ZodIssue[] = []
  const { overrides = [], ...own } = rawSection(value, name)
  section.overrides = overrides.map(({ match: _match, ...over }, index) => {
    const result = sectionSchemas[name]?.safeParse(overlay(own, over), { reportInput: true })
    const match = section.overrides[index]?.match ?? {}
    if (result?.success === true) return { match, section: result.data as DetectorSection }
    const path = ['detectors', name, 'overrides', index]
    for (const issue of result?.error.issues ?? []) issues.push({ ...issue, path: [...path, ...issue.path] })
    return { match, section }
  })
  return issues
}

type RawSection = Record<string, unknown> & { overrides?: readonly Record<string, unknown>[] }

/** Known to be of this form: the schema has accepted it. */
function rawSection(value: unknown, name: string): RawSection {
  const { detectors: all } = (value ?? {}) as { detectors?: Record<string, RawSection | undefined> }
  return all?.[name] ?? {}
}
