import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { configuration } from '../agent/daemon/configuration.ts'
import { generatedPages } from './pages.ts'

// Writes the generated part of the documentation: npm run generate. Tests compare it with the code.

write('tidewatch.reference.yml', configuration.referenceYaml())
write('tidewatch.schema.json', `${JSON.stringify(configuration.jsonSchema(), null, 2)}\n`)
for (const [name, text] of Object.entries(generatedPages())) write(name, text)

function write(name: string, text: string): void {
  writeFileSync(join(import.meta.dirname, name), text)
}
