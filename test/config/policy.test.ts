import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import fc from 'fast-check'
import { formatProblem } from '../../agent/config/load.ts'
import { detectorConfigFor } from '../../agent/config/schema.ts'
import { sampleContainer } from '../support/samples.ts'
import { mutated } from './mutate.ts'

function problemsOf(text: string): string[] {
  const parsed = configuration.parse(text)
  return 'problems' in parsed ? parsed.problems.map((problem) => formatProblem('t.yml', problem)) : []
}

test('errors in expressions are reported with their position in the file, in every YAML string style', (t) => {
  const text = `policy:
  allow:
    - reason: a block
      when: |
        rule == "a" &&
          container.nam == "x"
    - reason: quotes and escapes
      when: "rule == \\"a\\" && \\"\\\\t\\" == \\"b\\" && hst == \\"x\\""
    - { reason: on one line, when: 'rule == 1', until: 2026-02-30 }
    - reason: plain, over some lines
      when: rule == "a" &&
        evidence.x ==
        1 + rul
    - reason: a pattern
      when: rule.matches("(")
    - reason: folded
      when: >
        rule == "a"

        && nope
    - { reason: "", when: 'true' }
  redact: ["(", "a*"]
`
  t.deepEqual(problemsOf(text), [
    't.yml:6:21 policy.allow[0].when: no such key: nam',
    't.yml:8:51 policy.allow[1].when: unknown variable: hst',
    't.yml:9:37 policy.allow[2].when: no such overload: string == int',
    't.yml:9:49 policy.allow[2].until: expected a date like 2026-12-31, or a time like 2026-12-31T18:00:00Z',
    't.yml:13:13 policy.allow[3].when: unknown variable: rul',
    't.yml:15:26 policy.allow[4].when: error parsing regexp: missing closing ): `(`',
    't.yml:20:12 policy.allow[5].when: unknown variable: nope',
    't.yml:21:9 policy.allow[6].reason: Too small: expected string to have >=1 characters',
    't.yml:22:12 policy.redact[0]: error parsing regexp: missing closing ): `(`',
    't.yml:22:17 policy.redact[1]: the pattern matches the empty string, and so matches everywhere',
  ])
})

const overridden = `detectors:
  resource-limit-breach:
    memory: { ratio: 0.7, resolve_ratio: 0.6 }
    overrides:
      - match: { name: first-* }
        memory: { hold: 5m }
      - match: { image: "nginx:*" }
        memory: { ratio: 0.97 }
        rules: { no-limits: { enabled: false } }
`

test('the first matching override is merged into the detector’s section', (t) => {
  const parsed = configuration.parse(overridden)
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.problems))
  const of = (name: string, image: string) =>
    detectorConfigFor(parsed.config, 'resource-limit-breach', sampleContainer({ name, image }))
  const base = { ratio: 0.7, resolve_ratio: 0.6, hold: 30_000, resolve_hold: 300_000 }
  t.deepEqual(of('x', 'y')['memory'], base)
  t.deepEqual(of('x', 'nginx:1')['memory'], { ...base, ratio: 0.97 })
  t.deepEqual(of('first-1', 'nginx:1')['memory'], { ...base, hold: 300_000 })
  t.is(of('x', 'nginx:1').rules['no-limits']?.enabled, false)
  t.is(of('x', 'nginx:1').rules['oom-kill']?.enabled, true)
  t.is(of('first-1', 'nginx:1').rules['no-limits']?.enabled, true)
  t.is(detectorConfigFor(parsed.config, 'resource-limit-breach', null).rules['no-limits']?.enabled, true)
})

test('an override is validated as a complete section, and can only contain settings that can differ by container', (t) => {
  t.deepEqual(
    problemsOf(`detectors:
  resource-limit-breach:
    overrides:
      - match: { name: x }
        memory: { ratio: 0.5 }
      - match: {}
      - memory: { ratio: 2 }
  monitor-integrity:
    overrides: [{ match: { name: x }, lost_window: 1s, bogus: 1 }]
  unexpected-root-process:
    overrides: [{ match: { name: x }, settle: 2h }]
`),
    [
      't.yml:6:9 detectors.resource-limit-breach.overrides[1].match: expected image, name or label',
      't.yml:7:9 detectors.resource-limit-breach.overrides[2].match: is required',
      't.yml:7:19 detectors.resource-limit-breach.overrides[2].memory.ratio: Too big: expected number to be <=1',
      't.yml:9:39 detectors.monitor-integrity.overrides[0].lost_window: unknown key',
      't.yml:9:56 detectors.monitor-integrity.overrides[0].bogus: unknown key',
      't.yml:11:39 detectors.unexpected-root-process.overrides[0].settle: must be between 1ms and 1m',
    ],
  )
  t.deepEqual(
    problemsOf(
      'detectors: { resource-limit-breach: { overrides: [{ match: { name: x }, memory: { ratio: 0.5 } }] } }',
    ),
    ['t.yml:1:73 detectors.resource-limit-breach.overrides[0].memory.resolve_ratio: must not be above ratio'],
  )
})

test('a mutated configuration gives a configuration or a list of errors, never a crash', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const parsed = configuration.parse(mutated(seed))
        return (
          'config' in parsed || (parsed.problems.length > 0 && parsed.problems.every(({ line }) => line >= 1))
        )
      }),
      { numRuns: 300 },
    ),
  )
})
