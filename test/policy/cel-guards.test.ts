import test from 'ava'
import fc from 'fast-check'
import type { Finding } from '../../agent/model/finding.ts'
import { createAllow, type Labels } from '../../agent/policy/allow.ts'
import { createLanguage } from '../../agent/policy/cel.ts'
import { sampleFinding } from '../support/samples.ts'
import { subjectOf } from '../../agent/policy/cel-subject.ts'

type Asked = { finding: Finding; labels: Labels }

/** The entry that allows, found as in the daemon: by rule and guards. */
function byGuards(whens: readonly string[], { finding, labels }: Asked): string | undefined {
  const entries = whens.map((when) => ({ reason: when, when }))
  return createAllow({ entries, trustLabels: false, now: () => 0, onFailure: () => {} }).by(finding, labels)
    ?.reason
}

/** The first expression that is true, each evaluated completely: `?:` prevents guards. */
function byEvaluation(whens: readonly string[], { finding, labels }: Asked): string | undefined {
  const language = createLanguage()
  return whens.find((when) => {
    const bare = language.compile(`(${when}) ? true : false`)
    if (!('matches' in bare)) throw new Error(bare.message)
    language.startFinding()
    try {
      return bare.matches(subjectOf(finding, labels))
    } catch {
      return false
    }
  })
}

test('guards do not change the result of an expression', (t) => {
  const evidence = { argv: ['pg_dump', '-U'], user: 'root', pid: 1, caller: { user: 'bob' }, none: null }
  const asked = { finding: sampleFinding({ evidence }), labels: { team: 'db', 'a.tier': 'gold' } }
  const table: [string, boolean][] = [
    ['rule == "interactive-shell"', true],
    ['rule == "a" || rule == "interactive-shell"', true],
    ['rule in ["a", "interactive-shell"]', true],
    ['"nginx:1.27" == container.image', true],
    ['container.image.startsWith("nginx") && container.image.endsWith("27")', true],
    ['container["name"] == "web-1" && summary.contains("opened")', true],
    ['container.labels.team == "db" && container.labels["a.tier"].startsWith("gold")', true],
    ['container.labels["nope"] == "db"', false],
    ['severity == "critical"', false],
    ['evidence.argv[0] == "pg_dump" && evidence["user"] == "root" && evidence.caller.user == "bob"', true],
    ['evidence.argv[2] == "pg_dump"', false],
    ['evidence.nope.user == "bob" || evidence.user == "root"', true],
    ['evidence.pid == "x" || evidence.user == "root"', true],
    ['evidence.none == "x" || evidence.user == "root"', true],
    // A macro variable may be named like a field, and a negated comparison is not a guard.
    ['evidence.argv.exists(rule, rule == "pg_dump")', true],
    ['!(rule == "x") && (rule == "x" || host == "node-7")', true],
  ]
  for (const [when, expected] of table) {
    t.is(byGuards([when], asked) === when, expected, when)
    t.is(byEvaluation([when], asked) === when, expected, when)
  }
})

const words = fc.constantFrom('a', 'b', 'ab', '')
const fields = fc.constantFrom(
  ...`rule detector severity host summary container.name container["image"] container.labels.x container.labels["y"]
  evidence.u evidence["u"] evidence.argv[0] evidence.argv[1] evidence.deep.u evidence.n evidence.none`.split(
    /\s+/,
  ),
)
const quoted = words.map((word) => JSON.stringify(word))
const { condition: conditions } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { depthSize: 'small' },
    fc.tuple(fields, fc.constantFrom('==', '!=', '<'), quoted).map((parts) => parts.join(' ')),
    fc.tuple(quoted, fields).map((parts) => parts.join(' == ')),
    fc
      .tuple(fields, fc.array(quoted, { maxLength: 3 }))
      .map(([field, list]) => `${field} in [${list.join()}]`),
    fc
      .tuple(fields, fc.constantFrom('startsWith', 'endsWith', 'contains', 'matches'), quoted)
      .map(([field, method, word]) => `${field}.${method}(${word})`),
    fc
      .tuple(fields, quoted)
      .map(([field, word]) => `evidence.argv.exists(rule, rule == ${word} || ${field} == "a")`),
    fc.constantFrom('true', 'false', 'has(evidence.u)', 'evidence.n > 1', 'evidence.none', 'evidence.flag'),
    fc
      .tuple(tie('condition'), fc.constantFrom('&&', '||'), tie('condition'))
      .map((parts) => `(${parts.join(' ')})`),
    tie('condition').map((inner) => `!(${inner})`),
    fc.tuple(tie('condition'), tie('condition'), tie('condition')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
}))

const values = fc.oneof(words, fc.integer({ min: 0, max: 2 }), fc.constant(null), fc.boolean())
const argvs = fc.oneof(fc.array(words, { maxLength: 2 }), fc.array(values, { maxLength: 2 }), values)
const evidence = fc.record(
  { u: values, n: values, flag: values, argv: argvs, deep: fc.oneof(fc.record({ u: values }), values) },
  { requiredKeys: [] },
)
const findings = fc
  .record({ rule: words, detector: words, host: words, summary: words, name: words, image: words, evidence })
  .map(({ name, image, ...finding }) => {
    const container = { id: 'c', name, image, image_id: '', compose_project: '', compose_service: '' }
    return sampleFinding({ ...finding, container })
  })
const labels = fc.dictionary(fc.constantFrom('x', 'y'), words)

test('the index allows the same findings as evaluating every entry', (t) => {
  const language = createLanguage()
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.array(conditions, { minLength: 1, maxLength: 6 }),
        fc.record({ finding: findings, labels }),
        (given, asked) => {
          const whens = given.filter((when) => 'matches' in language.compile(when))
          return byGuards(whens, asked) === byEvaluation(whens, asked)
        },
      ),
      { numRuns: 2_000 },
    ),
  )
})
