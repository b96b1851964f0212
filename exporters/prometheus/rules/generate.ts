import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { detectors } from '../../../detectors/index.ts'
import { ruleFiles } from './index.ts'
import { renderRuleFile } from './rule-file.ts'

// `npm run generate:rules`: writes the rule files into this folder.
for (const file of ruleFiles(detectors))
  writeFileSync(join(import.meta.dirname, file.name), renderRuleFile(file))
