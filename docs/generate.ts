import { configuration } from '../agent/daemon/configuration.ts'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

// Writes what is made from the schema of the configuration: npm run generate. A test compares.

writeFileSync(join(import.meta.dirname, 'tidewatch.reference.yml'), configuration.referenceYaml())
writeFileSync(
  join(import.meta.dirname, 'tidewatch.schema.json'),
  `${JSON.stringify(configuration.jsonSchema(), null, 2)}\n`,
)
