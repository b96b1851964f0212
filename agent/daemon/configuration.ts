import { detectors, ruleEvidence } from '../../detectors/index.ts'
import { createConfiguration } from '../config/configuration.ts'
import { allowLabel } from '../policy/allow.ts'
import { compilePattern, expressionChecker } from '../policy/cel.ts'

/** The configuration of the daemon and its commands, with all detectors' sections and the policy's expressions. */
export const configuration = createConfiguration({
  detectors,
  language: { problemOf: expressionChecker(ruleEvidence), compilePattern },
  allowLabel,
})
