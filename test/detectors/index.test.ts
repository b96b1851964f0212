import { existsSync, globSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'ava'
import { configuration } from '../../agent/daemon/configuration.ts'
import { detectors } from '../../detectors/index.ts'

const root = join(import.meta.dirname, '../..')

test('every detector has its folder, its test and its place in the table and the configuration', (t) => {
  const folders = globSync('detectors/*/index.ts', { cwd: root }).map((file) => basename(dirname(file)))
  t.deepEqual(folders.toSorted(), detectors.map(({ name }) => name).toSorted())
  for (const { name } of detectors) {
    t.true(existsSync(join(root, 'test/detectors', name, 'index.test.ts')), name)
    t.true(name in configuration.schema.parse({}).detectors, name)
  }
})

test('every rule that supersedes another exists, and both are events', (t) => {
  const all = new Map(detectors.flatMap(({ rules }) => Object.entries(rules)))
  const superseded = [...all].filter(([, { supersededBy }]) => supersededBy !== undefined)
  t.true(superseded.length > 0)
  for (const [name, { kind, supersededBy = [] }] of superseded) {
    t.is(kind, 'event', name)
    for (const other of supersededBy) {
      t.is(all.get(other)?.kind, 'event', `${name} is superseded by ${other}`)
      t.not(other, name)
    }
  }
})

test('every rule above info names its MITRE ATT&CK technique', (t) => {
  for (const { rules } of detectors)
    for (const [name, { severity, technique }] of Object.entries(rules))
      if (severity !== 'info') t.regex(technique ?? '', /^T\d{4}(?:\.\d{3})?$/, name)
})
