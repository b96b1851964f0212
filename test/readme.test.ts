import { configuration } from '../agent/daemon/configuration.ts'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import test from 'ava'
import { allRules } from '../agent/cli/rules.ts'
import { detectors } from '../detectors/index.ts'
import { describeMetrics } from './support/metrics.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/** The rows of the table with this head, as cells without code marks. */
function tableOf(head: string): string[][] {
  const lines = readme.split('\n')
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`))
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  )
}

test('the README lists every rule as the code has it', (t) => {
  t.deepEqual(
    tableOf('detector'),
    allRules().map(({ detector, rule, severity, kind, summary }) => [
      detector,
      rule,
      severity,
      kind,
      summary,
    ]),
  )
})

test('the README lists every metric as the code has it', (t) => {
  t.deepEqual(
    tableOf('metric'),
    describeMetrics().map(({ name, labels, help }) => [name, labels.join(', '), help]),
  )
})

test('the configuration in the README is valid', (t) => {
  const yaml = /```yaml\n(.*?)```/s.exec(readme)?.[1] ?? ''
  t.true('config' in configuration.parse(yaml), JSON.stringify(configuration.parse(yaml)))
})

test('every detector has its folder, its test and its place in the table and the configuration', (t) => {
  const folders = globSync('detectors/*/index.ts', { cwd: root }).map((file) => basename(dirname(file)))
  t.deepEqual(folders.toSorted(), detectors.map(({ name }) => name).toSorted())
  for (const { name } of detectors) {
    t.true(existsSync(join(root, 'test/detectors', name, 'index.test.ts')), name)
    t.true(name in configuration.schema.parse({}).detectors, name)
  }
})
