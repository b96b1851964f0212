import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import fc from 'fast-check'
import { formatProblem } from '../../agent/config/load.ts'

function problemsOf(text: string): string[] {
  const parsed = configuration.parse(text)
  return 'problems' in parsed ? parsed.problems.map((problem) => formatProblem('t.yml', problem)) : []
}

test('an empty file, an empty section and no file give the defaults', (t) => {
  for (const text of ['', '# nothing\n', 'log:\nsources: {}\n']) {
    const parsed = configuration.parse(text)
    t.deepEqual('config' in parsed && parsed.config, configuration.defaults(), JSON.stringify(text))
  }
  t.deepEqual(configuration.defaults().web.listen_addresses, ['127.0.0.1:15736'])
})

test('all errors are reported at once, each with line, column and path', (t) => {
  const text = `docker:
  host: 5
  bogus: 1
alertmanagers:
  - url: ftp://x
  - { min_severity: bad }
web: { listen_addresses: ["a"] }
detectors: { exec-into-container: { rules: { nope: {} } } }
findings: { retention: 5x }
`
  t.deepEqual(problemsOf(text), [
    't.yml:2:3 docker.host: expected string, received number',
    't.yml:3:3 docker.bogus: unknown key',
    't.yml:5:5 alertmanagers[0].url: expected an http:// or https:// URL',
    't.yml:6:5 alertmanagers[1].url: is required',
    't.yml:6:7 alertmanagers[1].min_severity: Invalid option: expected one of "info"|"warning"|"critical"',
    't.yml:7:27 web.listen_addresses[0]: expected HOST:PORT, :PORT or [IPv6]:PORT',
    't.yml:8:46 detectors.exec-into-container.rules.nope: unknown key',
    't.yml:9:13 findings.retention: expected a duration such as 30s, 5m or 1h30m',
  ])
})

test('YAML errors are reported with their position', (t) => {
  t.deepEqual(problemsOf('a: 1\na: 2'), ['t.yml:2:1 Map keys must be unique'])
  t.is(problemsOf('web: {').length, 1)
  t.regex(problemsOf('- 1')[0] ?? '', /^t\.yml:1:1 /)
  t.regex(problemsOf('alertmanagers: [{url: "http://u:p@h"}]')[0] ?? '', /must not contain credentials/)
})

test('detector settings are validated like all other settings', (t) => {
  const parsed = configuration.parse(
    'detectors: { unexpected-root-process: { settle: 2s, rules: { root-in-nonroot-container: { severity: warning } } } }',
  )
  t.true('config' in parsed)
  t.deepEqual(problemsOf('detectors: { unexpected-root-process: { settle: 2h } }'), [
    't.yml:1:41 detectors.unexpected-root-process.settle: must be between 1ms and 1m',
  ])
})

test('an unreadable file gives one clear message and exit code 78', (t) => {
  const error = t.throws(() => configuration.load('/nowhere/t.yml'))
  t.is(error.message, '/nowhere/t.yml: cannot read the configuration file: no such file')
  t.is((error as { exitCode?: number }).exitCode, 78)
})

test('any text gives a configuration or a list of errors, never a crash', (t) => {
  const keys = fc.constantFrom(
    'docker',
    'web',
    'log',
    'sources',
    'detectors',
    'alertmanagers',
    'findings',
    'x',
  )
  const yamlLike = fc
    .array(fc.tuple(keys, fc.oneof(fc.json(), fc.string())))
    .map((pairs) => pairs.map(([key, value]) => `${key}: ${value}`).join('\n'))
  fc.assert(
    fc.property(fc.oneof(fc.string(), yamlLike), (text) => {
      const parsed = configuration.parse(text)
      return 'config' in parsed || parsed.problems.every(({ line, column }) => line >= 1 && column >= 1)
    }),
    { numRuns: 500 },
  )
  t.true(
    problemsOf(
      `a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]`,
    ).length > 0,
  )
})
