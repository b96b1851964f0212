import test from 'ava'
import { createLanguage } from '../../agent/policy/cel.ts'
import { ruleEvidence } from '../../detectors/index.ts'
import { sampleFinding } from '../support/samples.ts'
import { subjectOf } from '../../agent/policy/cel-subject.ts'

const language = createLanguage(ruleEvidence())

function problemOf(text: string): string {
  const compiled = language.compile(text)
  return 'matches' in compiled ? '' : `${compiled.offset}: ${compiled.message}`
}

test('an unknown evidence field is an error, with its position and a suggestion', (t) => {
  const table: [string, string][] = [
    ['evidence.usr == "x"', '9: evidence has no field usr in any rule; did you mean user?'],
    ['evidence["usr"] == "x"', '0: evidence has no field usr in any rule; did you mean user?'],
    ['evidence.argv[0] == "a" && evidence.zzzzzz', '36: evidence has no field zzzzzz in any rule'],
    ['evidence.caller.usr == "x"', '16: evidence.caller has no field usr in any rule; did you mean user?'],
    ['has(evidence.usr)', '13: evidence has no field usr in any rule; did you mean user?'],
    [
      'evidence.programs.exists(p, has(evidence.usr) || p.arg[0] == "x")',
      '51: evidence.programs has no field arg in any rule; did you mean argv?',
    ],
    [
      'rule.matches("a+") && evidence.user.matches("b") && evidence.usr == "x"',
      '61: evidence has no field usr in any rule; did you mean user?',
    ],
  ]
  for (const [text, expected] of table) t.is(problemOf(text), expected, text)
})

test('an expression limited to some rules can only use the evidence fields of those rules', (t) => {
  const table: [string, string][] = [
    ['evidence.tool == "crictl"', ''],
    ['rule == "untracked-exec" && evidence.tool == "crictl"', ''],
    ['"exec-command" == rule && evidence.tool == "x"', '35: evidence has no field tool in exec-command'],
    ['rule in ["exec-command", "untracked-exec"] && evidence.tool == "x"', ''],
    ['(rule == "exec-command" || rule == "untracked-exec") && evidence.tool == "x"', ''],
    [
      '(rule == "exec-command" || rule == "oom-kill") && evidence.tool == "x"',
      '59: evidence has no field tool in exec-command or oom-kill',
    ],
    ['(rule == "exec-command" && evidence.tty) || (rule == "no-limits" && "cpu" in evidence.missing)', ''],
    ['detector == "exec-into-container" && evidence.tool == "x"', ''],
    [
      'detector == "exec-into-container" && evidence.cve == "x"',
      '46: evidence has no field cve in these rules',
    ],
    [
      '(rule == "exec-command" && evidence.user == "x") || (rule == "oom-kill" && evidence.tool == "x")',
      '84: evidence has no field tool in exec-command or oom-kill',
    ],
    ['rule.startsWith("untracked-") && evidence.tool == "x"', ''],
    [
      'rule.startsWith("exec-") && evidence.tool == "x"',
      '37: evidence has no field tool in exec-command or exec-as-root or exec-from-container',
    ],
    // An expression for no particular rule, or for an unknown one, applies to all rules.
    ['!(rule == "exec-command") && evidence.tool == "x"', ''],
    ['(rule == "exec-command" || true) && evidence.tool == "x"', ''],
    ['rule == "of-tomorrow" && evidence.tool == "x"', ''],
  ]
  for (const [text, expected] of table) t.is(problemOf(text), expected, text)
})

test('a wrong type is an error if the field has one type', (t) => {
  const table: [string, string][] = [
    ['evidence.user == 1', '0: no such overload: string == int'],
    ['evidence.pid.startsWith("4")', "0: found no matching overload for 'double.startsWith(string)'"],
    ['evidence.argv == "x"', '0: no such overload: list<string> == string'],
    ['evidence.argv.exists(a, a == 1)', '24: no such overload: string == int'],
    ['evidence.pid + 1 > 2', '0: no such overload: double + int'],
    ['evidence.pid == 1 && evidence.pid != 2 && 3 == evidence.pid && evidence.pid < 4.5', ''],
    ['evidence.pid in [1, 2] && !evidence.tty && "-c" in evidence.argv', ''],
    // A list for one rule, a string for another.
    ['evidence.missing == "x" || evidence.missing == ["cpu"]', ''],
    ['rule == "no-limits" && evidence.missing == "x"', '23: no such overload: list<string> == string'],
    ['dyn(evidence).whatever == 1', ''],
  ]
  for (const [text, expected] of table) t.is(problemOf(text), expected, text)
})

test('a valid expression evaluates without errors, even if values are unknown', (t) => {
  const compiled = language.compile('evidence.limit > 5 || evidence.exit_code in [1, 2] || evidence.pid == 7')
  if (!('matches' in compiled)) throw new Error(compiled.message)
  const holds = (evidence: Record<string, number | null>) =>
    compiled.matches(subjectOf(sampleFinding({ evidence }), {}))
  t.false(holds({}))
  t.false(holds({ limit: null, exit_code: null, pid: null }))
  t.true(holds({ limit: 6 }))
  t.true(holds({ limit: null, exit_code: 2 }))
  t.true(holds({ pid: 7 }))
})
