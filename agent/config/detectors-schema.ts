import { z } from 'zod'
import type { Detector } from '../model/detector.ts'
import { severities, type Severity } from '../model/finding.ts'
import { type Override, overridesSchema } from './overrides.ts'

export type RuleConfig = { enabled: boolean; severity: Severity }

/** The keys that every detector's section has. */
export type DetectorConfig = { enabled: boolean; rules: Readonly<Record<string, RuleConfig>> }

/** A detector's whole section, including the detector's own settings. */
export type DetectorSection = DetectorConfig &
  Record<string, unknown> & { overrides: Override<DetectorSection>[] }

/** The schema of each detector's section, by detector name. */
export type SectionSchemas = Readonly<Record<string, z.ZodObject>>

/** Creates the schemas of the detectors' sections. */
export function sectionSchemasOf(detectors: readonly Detector[]): SectionSchemas {
  return Object.fromEntries(detectors.map((detector) => [detector.name, detectorSchema(detector)]))
}

/** The section `detectors`: which rules are enabled, and their severities. */
export function detectorsSchemaOf(sections: SectionSchemas) {
  return z
    .strictObject(
      Object.fromEntries(Object.entries(sections).map(([name, section]) => [name, section.prefault({})])),
    )
    .prefault({})
}

/** A detector's section: whether it is enabled, each rule's switch and severity, and the detector's own settings. */
function detectorSchema(detector: Detector) {
  const rules = Object.entries(detector.rules).map(([name, rule]) => [
    name,
    z
      .strictObject({
        enabled: z
          .boolean()
          .default(rule.enabledByDefault ?? true)
          .describe('Enables the rule.'),
        severity: z.enum(severities).default(rule.severity).describe('Severity of its findings.'),
      })
      .prefault({})
      .describe(rule.summary),
  ])
  const common = {
    enabled: z.boolean().default(true).describe('Enables the detector.'),
    rules: z.strictObject(Object.fromEntries(rules)).prefault({}),
  }
  const { perContainer = [], settings } = detector
  const overridable = Object.fromEntries(perContainer.map((key) => [key, settings.shape[key]]))
  return z.strictObject({
    ...common,
    ...settings.shape,
    overrides: overridesSchema(z.strictObject({ ...common, ...overridable })),
  })
}
