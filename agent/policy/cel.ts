import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import type { RuleEvidence } from '../model/evidence-type.ts'
import { withoutNulls } from '../model/json.ts'
import { evidenceCheck } from './cel-evidence.ts'
import { areFor, type Guard, guardsOf, type RuleName } from './cel-guards.ts'
import { ContainerValue, type Subject } from './cel-subject.ts'
import { examine } from './cel-limits.ts'
import { rememberingLast } from '../lib/remember-last.ts'

/** An expression that was found right. */
export type Expression = {
  /** Whether it can be true for findings of a rule. */
  concerns(rule: RuleName): boolean
  /** What has to be so for it to be true. */
  guards: readonly Guard[]
  /** False also where the finding has not what the expression asks for; throws what else goes wrong. */
  matches(subject: Subject): boolean
}

/** What is wrong with an expression; `offset` is where in its text. */
export type ExpressionError = { offset: number; message: string }

const maxLength = 4_096
const limits = {
  maxAstNodes: 300,
  maxDepth: 24,
  maxListElements: 500,
  maxMapEntries: 50,
  maxCallArguments: 8,
}
// Programs of RE2 take at most (length of program) x (length of text) steps.
const maxProgram = 200
/** Characters that patterns may look at for one finding: what is longer is no ordinary finding, and is not allowed. */
const searchedPerFinding = 8_192

const containerFields = {
  id: 'string',
  name: 'string',
  image: 'string',
  image_id: 'string',
  compose_project: 'string',
  compose_service: 'string',
  labels: 'map<string, string>',
}

/** The variables of the language and their types: the fields of a finding under their own names. */
export const variables: Readonly<Record<string, string>> = {
  rule: 'string',
  detector: 'string',
  severity: 'string',
  kind: 'string',
  summary: 'string',
  host: 'string',
  fingerprint: 'string',
  container: 'Container',
}

// What is in it differs by rule, and is of any type where an expression is evaluated; `evidenceCheck` knows more.
const evidenceType = 'map<string, dyn>'
/**
 * The language of `policy.allow`: typed, without what could run away. One for each policy. With `rules`, what an
 * expression asks of evidence is checked by what these rules can have: where expressions are read for the first time.
 */
export function createLanguage(rules?: readonly RuleEvidence[]) {
  const patterns = new Map<string, RE2JS>()
  const known = rememberingLast(withoutUnknown)
  let searchesLeft = 0

  function search(text: string, pattern: string): boolean {
    searchesLeft -= text.length
    if (searchesLeft < 0) throw new EvaluationError('the finding is too long to be searched by patterns')
    return patterns.get(pattern)?.test(text) ?? false
  }

  const base = new Environment({ limits })
    .registerType('Container', { ctor: ContainerValue, fields: containerFields })
    // CEL's `matches` with RE2, as the language is specified: the library's own takes JavaScript's expressions, which
    // can take for ever. As long as its name, so that places in the text stay what they are.
    .registerFunction(`string.${searchMethod}(string): bool`, search)
  for (const [name, type] of Object.entries(variables)) base.registerVariable(name, type)
  const environment = base.clone().registerVariable('evidence', evidenceType)
  const checkEvidence = rules === undefined ? null : evidenceCheck(base, rules)

  return {
    /** To be said before the expressions are asked about another finding. */
    begin(): void {
      searchesLeft = searchedPerFinding
    },

    /** Never throws, whatever the text is. */
    compile(text: string): Expression | ExpressionError {
      if (text.length > maxLength)
        return { offset: maxLength, message: `is longer than ${maxLength} characters` }
      try {
        return compile(text)
      } catch (error) {
        return toError(error)
      }
    },
  }

  function compile(text: string): Expression | ExpressionError {
    const { refusal, matches } = examine(environment.parse(text).ast, 'matches')
    if (refusal !== null) return { offset: refusal.start, message: refusal.message }
    let source = text
    for (const { from, pattern, patternAt } of matches) {
      const problem = addPattern(patterns, pattern)
      if (problem !== null) return { offset: patternAt, message: problem }
      const at = source.indexOf('matches', from)
      source = source.slice(0, at) + searchMethod + source.slice(at + searchMethod.length)
    }
    const program = environment.parse(source)
    const { refusal: left, asked } = examine(program.ast, searchMethod)
    if (left !== null) return { offset: left.start, message: left.message }
    const checked = program.check()
    if (checked.error !== undefined) return toError(checked.error)
    if (!checked.valid || checked.type !== 'bool') {
      return { offset: 0, message: `must be true or false, but is of type ${checked.type ?? 'unknown'}` }
    }
    const guards = guardsOf(program.ast)
    const concerns = (rule: RuleName) => areFor(guards, rule)
    const wrong = checkEvidence?.({ source, asked, concerns }) ?? null
    if (wrong !== null) return 'error' in wrong ? toError(wrong.error) : wrong
    const isTrue = (subject: Subject) => program(known(subject)) === true
    return {
      guards,
      concerns,
      matches: (subject) => guards.every((guard) => guard.holds(subject)) && holds(isTrue, subject),
    }
  }
}

/** What is null was not known, which is as good as not there. */
function withoutUnknown(subject: Subject): Subject {
  const evidence = withoutNulls(subject.evidence)
  return evidence === subject.evidence ? subject : { ...subject, evidence }
}

const searchMethod = 're2test'

function addPattern(patterns: Map<string, RE2JS>, pattern: string): string | null {
  if (patterns.has(pattern)) return null
  try {
    const compiled = compilePattern(pattern)
    patterns.set(pattern, compiled)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** A pattern of RE2, bounded; throws with a sentence what is wrong with it. */
export function compilePattern(pattern: string): RE2JS {
  if (pattern.length > 1_000) throw new Error('the pattern is longer than 1000 characters')
  const compiled = RE2JS.compile(pattern)
  const size = compiled.programSize()
  if (size > maxProgram)
    throw new Error(`the pattern is too large: ${size} steps, and ${maxProgram} are allowed`)
  return compiled
}

// Evidence differs by rule: to ask for what this finding has not is no error.
const absent: ReadonlySet<string> = new Set([
  'no_such_key',
  'index_out_of_bounds',
  'invalid_index',
  'no_such_field',
])

function holds(isTrue: (subject: Subject) => boolean, subject: Subject): boolean {
  try {
    return isTrue(subject)
  } catch (error) {
    if (error instanceof EvaluationError && absent.has(error.code)) return false
    throw new Error(toError(error).message, { cause: error })
  }
}

function toError(error: unknown): ExpressionError {
  if (error instanceof ParseError || error instanceof CelTypeError || error instanceof EvaluationError) {
    const message = error.summary.replaceAll(searchMethod, 'matches')
    return {
      offset: error.range?.start ?? 0,
      message: message.replace(/^[A-Z](?=[a-z])/, (first) => first.toLowerCase()),
    }
  }
  return { offset: 0, message: error instanceof Error ? error.message : String(error) }
}

// A language costs as much as some hundred expressions; it keeps their patterns, and so is replaced now and then.
const checksOfOne = 1_000

/** Checks the expressions of configuration files, one after another. */
export function expressionChecker(rules: () => readonly RuleEvidence[]) {
  let language: ReturnType<typeof createLanguage> | undefined
  let checks = 0
  return (text: string): ExpressionError | null => {
    if (language === undefined || checks % checksOfOne === 0) language = createLanguage(rules())
    checks += 1
    const compiled = language.compile(text)
    return 'matches' in compiled ? null : compiled
  }
}
