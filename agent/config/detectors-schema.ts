import { z } from 'zod'
import type { Detector } from '../model/detector.ts'
import { severities, type Severity } from '../model/finding.ts'
import { type Override, overridesSchema } from './overrides.ts'

export type RuleConfig = { enabled: boolean; severity: Severity }

/** What every detector's section holds, whatever its own settings are. */
export type DetectorConfig = { enabled: boolean; rules: Readonly<Record<string, RuleConfig>> }

/** A detector's whole section; the settings that are not named here are its own. */
export type DetectorSection = DetectorConfig &
  Record<string, unknown> & { overrides: Override<DetectorSection>[] }

/** The schema of each detector's section, by the detector's name. */
export type SectionSchemas = Readonly<Record<string, z.ZodObject>>

/** Makes the schemas of the detectors' sections. */
export function sectionSchemasOf(detectors: readonly Detector[]): SectionSchemas {
  return Object.fromEntries(detectors.map((detector) => [detector.name, detectorSchema(detector)]))
}

/** What is looked for, and how bad it is: the section `detectors`. */
export function detectorsSchemaOf(sections: SectionSchemas) {
  return z
    .strictObject(
      Object.fromEntries(Object.entries(sections).map(([name, section]) => [name, section.prefault({})])),
    )
    .prefault({})
}

/** A detector's section: on or off, each rule's switch and severity, and the detector's own settings. */
function detectorSchema(detector: Detector) {
  const rules = Object.entries(detector.rules).map(([name, rule]) => [
    name,
    z
      .strictObject({
        enabled: z
          .boolean()
          .default(rule.enabledByDefault ?? true)
          .describe('Whether the rule speaks.'),
        severity: z.enum(severities).default(rule.severity).describe('How bad it is here.'),
      })
      .prefault({})
      .describe(rule.summary),
  ])
  const common = {
    enabled: z.boolean().default(true).describe('Whether the detector runs.'),
    rules: z.strictObject(Object.fromEntries(rules)).prefault({}),
  }
  const { perContainer = [], settings } = detector
  const differing = Object.fromEntries(perContainer.map((key) => [key, settings.shape[key]]))
  return z.strictObject({
    ...common,
    ...settings.shape,
    overrides: overridesSchema(z.strictObject({ ...common, ...differing })),
  })
}
