import test from 'ava'
import fc from 'fast-check'
import { createLanguage } from '../../agent/policy/cel.ts'
import { sampleFinding } from '../support/samples.ts'
import { subjectOf } from '../../agent/policy/cel-subject.ts'

const finding = sampleFinding({
  evidence: {
    argv: ['pg_dump', '-U', 'shop'],
    user: 'root',
    tty: false,
    pid: 4242,
    ratio: 0.5,
    caller: { user: 'root', login_user: 'alice', argv: ['docker', 'exec'] },
  },
})
const subject = subjectOf(finding, { team: 'db', 'com.example.tier': 'gold' })

function ask(text: string): boolean | string {
  const language = createLanguage()
  const expression = language.compile(text)
  if (!('matches' in expression)) return `${expression.offset}: ${expression.message}`
  language.startFinding()
  try {
    return expression.matches(subject)
  } catch (error) {
    return `throws ${(error as Error).message}`
  }
}

test('expressions see a finding as documented', (t) => {
  const table: [string, boolean][] = [
    ['rule == "interactive-shell"', true],
    ['detector == "exec-into-container" && severity == "warning" && kind == "event"', true],
    ['host == "node-7" && fingerprint == "9f2c41d07ab3"', true],
    ['summary.contains("interactive")', true],
    ['severity in ["info", "warning"]', true],
    ['container.name == "web-1" && container.image.startsWith("nginx:")', true],
    ['container.id.size() == 64', true],
    ['container.compose_project == "" && container.compose_service == "" && container.image_id == ""', true],
    ['container.labels["team"] == "db"', true],
    ['container.labels.team == "db"', true],
    ['container.labels["com.example.tier"] == "gold"', true],
    ['"team" in container.labels', true],
    ['"nope" in container.labels', false],
    ['container.labels["nope"] == ""', false],
    ['evidence.argv[0] == "pg_dump"', true],
    ['evidence.argv == ["pg_dump", "-U", "shop"]', true],
    ['evidence.argv.exists(a, a == "-U")', true],
    ['evidence.argv.all(a, a.size() > 1)', true],
    ['evidence.argv.filter(a, a.startsWith("-")).size() == 1', true],
    ['evidence.pid == 4242 && evidence.pid > 4241 && evidence.pid < 4243.5', true],
    ['evidence.ratio < 0.6', true],
    ['!evidence.tty', true],
    ['evidence.caller.login_user == "alice"', true],
    ['has(evidence.caller) && !has(evidence.exit_code)', true],
    ['evidence.user.matches("^(root|admin)$")', true],
    ['evidence.user.matches("oo")', true],
    ['(evidence.user).matches("^x")', false],
    ['rule.matches("matches") || rule.matches("shell$")', true],
    ['evidence.user == "root" ? true : false', true],
  ]
  for (const [text, expected] of table) t.is(ask(text), expected, text)
})

test('a missing field makes an expression false, not an error', (t) => {
  for (const text of [
    'evidence.nope == 1',
    'evidence.nope.deeper == 1',
    'evidence.argv[9] == "x"',
    'evidence.nope != "x"',
  ])
    t.is(ask(text), false, text)
})

test('a finding without a container has empty container fields', (t) => {
  const language = createLanguage()
  const expression = language.compile('container.name == "" && size(container.labels) == 0')
  t.true('matches' in expression && expression.matches(subjectOf({ ...finding, container: null }, {})))
})

test('errors are reported at compile time, with their position', (t) => {
  const table: [string, string][] = [
    ['rul == "x"', '0: unknown variable: rul'],
    ['rule == "x" && container.nam == "y"', '25: no such key: nam'],
    ['rule == 1', '0: no such overload: string == int'],
    ['true && rule > 2', '8: no such overload: string > int'],
    ['rule', '0: must be of type bool, but is of type string'],
    ['evidence.argv', '0: must be of type bool, but is of type dyn'],
    ['rule ==', '7: unexpected token: EOF'],
    ['', '0: unexpected token: EOF'],
    ['rule.matches("(")', '13: error parsing regexp: missing closing ): `(`'],
    ['rule.matches("(a)\\\\1")', '13: error parsing regexp: invalid escape sequence: `\\1`'],
    ['rule.matches("(?=a)")', '13: error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
  ]
  for (const [text, expected] of table) {
    const said = ask(text)
    // A value of dynamic type is rejected too: it must be compared with something.
    if (text === 'evidence.argv') t.regex(String(said), /must be of type bool/)
    else t.is(said, expected, text)
  }
})

test('an expression of unbounded cost is rejected', (t) => {
  const table: [string, RegExp][] = [
    ['evidence.a.exists(x, evidence.b.exists(y, x == y))', /too expensive/],
    ['evidence.a.exists(x, evidence.b.exists(y, evidence.c.exists(z, x == z)))', /too expensive/],
    ['evidence.argv.map(a, a + a).size() > 1', /unknown method map/],
    ['cel.bind(x, rule + rule, x == "a")', /unknown method bind/],
    ['rule.split("").size() > 1', /unknown method split/],
    ['["a"].join("x") == "a"', /unknown method join/],
    ['timestamp("2020-01-01T00:00:00Z") == timestamp("2020-01-01T00:00:00Z")', /unknown function timestamp/],
    ['rule.matches(host)', /must be a string literal/],
    ['rule.matches("[a-z]{1,500}")', /too complex/],
    [`rule == "${'x'.repeat(5_000)}"`, /at most 4096 characters/],
    [`${'('.repeat(200)}true${')'.repeat(200)}`, /maxDepth/i],
    [Array.from({ length: 200 }, () => 'rule=="a"').join('||'), /maxAstNodes/i],
    ['rule.re2test("a")', /unknown method re2test/],
  ]
  for (const [text, expected] of table) t.regex(String(ask(text)), expected, text.slice(0, 80))
})

test('a pattern that is slow in JavaScript is fast here, and searches in long findings are limited', (t) => {
  const language = createLanguage()
  const expression = language.compile('evidence.text.matches("^(a+)+$")')
  const withText = (text: string) => subjectOf(sampleFinding({ evidence: { text } }), {})
  if (!('matches' in expression)) throw new Error('refused')
  language.startFinding()
  t.false(expression.matches(withText(`${'a'.repeat(4_000)}b`)))
  language.startFinding()
  t.throws(() => expression.matches(withText('a'.repeat(10_000))), {
    message: /too long for pattern matching/,
  })
  language.startFinding()
  t.true(expression.matches(withText('aaa')))
})

test('an error for a single finding is thrown, not treated as false', (t) => {
  t.regex(String(ask('evidence.pid.startsWith("4")')), /^throws /)
  t.regex(String(ask('evidence.argv[0] > 3')), /^throws /)
})

test('any text is an expression or an error with a position', (t) => {
  const language = createLanguage()
  const word = fc.constantFrom(
    'rule',
    'evidence',
    'container',
    '.labels',
    '.x',
    '[0]',
    '==',
    '&&',
    '"a"',
    '1',
    '(',
    ')',
    'exists(a,',
    '.matches("a")',
    '!',
    '?',
    ':',
    'in',
    '[',
    ']',
    '{',
    '}',
    '\n',
    '//',
    'true',
  )
  const celLike = fc.array(word, { maxLength: 30 }).map((words) => words.join(' '))
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' }), celLike), (text) => {
        const compiled = language.compile(text)
        if ('matches' in compiled) return true
        return compiled.offset >= 0 && compiled.offset <= text.length && compiled.message !== ''
      }),
      { numRuns: 1_000 },
    ),
  )
})
