import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema, referenceYaml } from '../agent/config/reference.ts'

// Writes what is made from the schema of the configuration: npm run generate. A test compares.

writeFileSync(join(import.meta.dirname, 'tidewatch.reference.yml'), referenceYaml())
writeFileSync(
  join(import.meta.dirname, 'tidewatch.schema.json'),
  `${JSON.stringify(configJsonSchema(), null, 2)}\n`,
)
