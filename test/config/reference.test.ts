import { configuration } from '../../agent/daemon/configuration.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { Schema } from '../../agent/config/reference.ts'

const docs = join(import.meta.dirname, '../../docs')
const read = (file: string) => readFileSync(join(docs, file), 'utf8')
const hint = 'run: npm run generate'

test('the reference configuration and its JSON Schema are up to date', (t) => {
  t.true(read('tidewatch.reference.yml') === configuration.referenceYaml(), hint)
  t.deepEqual(
    JSON.parse(read('tidewatch.schema.json')),
    JSON.parse(JSON.stringify(configuration.jsonSchema())),
    hint,
  )
})

test('the reference configuration equals the defaults', (t) => {
  const parsed = configuration.parse(configuration.referenceYaml())
  t.deepEqual('config' in parsed ? parsed.config : parsed.problems, configuration.defaults())
})

test('every key is in the reference, with a description', (t) => {
  const text = configuration.referenceYaml()
  const keys = leavesOf(configuration.jsonSchema(), [])
  t.true(keys.length > 80)
  for (const { path, description } of keys) {
    t.regex(text, new RegExp(`\\b${path.at(-1)}:`), path.join('.'))
    t.regex(description ?? '', /^[A-Z\p{L}].*\.$/u, path.join('.'))
  }
})

type Leaf = { path: string[]; description: string | undefined }

function leavesOf({ properties = {} }: Schema, path: string[]): Leaf[] {
  return Object.entries(properties).flatMap(([key, schema]) => {
    const at = [...path, key]
    if (schema.properties !== undefined) return leavesOf(schema, at)
    return [
      { path: at, description: schema.description },
      ...leavesOf(key === 'overrides' ? {} : (schema.items ?? {}), at),
    ]
  })
}
