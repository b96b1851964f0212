import type { Detector } from '../agent/model/detector.ts'
import type { RuleEvidence } from '../agent/model/evidence-type.ts'
import { execIntoContainer } from './exec-into-container/index.ts'
import { monitorIntegrity } from './monitor-integrity/index.ts'
import { resourceLimitBreach } from './resource-limit-breach/index.ts'
import { runtimePathWrite } from './runtime-path-write/index.ts'
import { unexpectedRootProcess } from './unexpected-root-process/index.ts'

/** All detectors; the only place where they are listed. */
export const detectors: readonly Detector[] = [
  execIntoContainer,
  unexpectedRootProcess,
  runtimePathWrite,
  resourceLimitBreach,
  monitorIntegrity,
]

/** What a rule means, in one sentence; empty for a rule of another version that the store may still contain. */
export function meaningOf(rule: string): string {
  return detectors.find(({ rules }) => rule in rules)?.rules[rule]?.summary ?? ''
}

/** The MITRE ATT&CK technique of a rule; empty for routine operations and unknown rules. */
export function techniqueOf(rule: string): string {
  return detectors.find(({ rules }) => rule in rules)?.rules[rule]?.technique ?? ''
}

/** The evidence fields of every rule. */
export function ruleEvidence(): RuleEvidence[] {
  return detectors.flatMap(({ name: detector, evidence }) =>
    Object.entries(evidence).map(([rule, fields]) => ({ detector, rule, fields })),
  )
}
