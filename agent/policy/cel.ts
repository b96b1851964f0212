import { Environment, EvaluationError, ParseError, TypeError as CelTypeError } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import type { RuleEvidence } from '../model/evidence-type.ts'
import { withoutNulls } from '../model/json.ts'
import { evidenceCheck } from './cel-evidence.ts'
import { areFor, type Guard, guardsOf, type RuleName } from './cel-guards.ts'
import { ContainerValue, type Subject } from './cel-subject.ts'
import { examine } from './cel-limits.ts'
import { withCurrentNames } from './renamed-evidence.ts'
import { rememberLast } from '../lib/remember-last.ts'

/** A valid expression. */
export type Expression = {
  /** Deprecated names of evidence fields that it uses. */
  oldNames: readonly string[]
  /** Whether the expression can be true for findings of a rule. */
  concerns(rule: RuleName): boolean
  /** Necessary conditions for the expression to be true. */
  guards: readonly Guard[]
  /** Also false if the finding lacks a field that the expression uses; throws on other errors. */
  matches(subject: Subject): boolean
}

/** An error in an expression; `offset` is its position in the text. */
export type ExpressionError = { offset: number; message: string }

const maxLength = 4_096
const limits = {
  maxAstNodes: 300,
  maxDepth: 24,
  maxListElements: 500,
  maxMapEntries: 50,
  maxCallArguments: 8,
}
// RE2 takes at most (length of program) x (length of text) steps.
const maxProgram = 200
/** Characters that patterns may search in one finding. Longer findings are unusual, and are not allowed. */
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

// Evidence differs by rule: its values have any type at evaluation. `evidenceCheck` checks the types.
const evidenceType = 'map<string, dyn>'
/**
 * The language of `policy.allow`: typed, and limited to operations with bounded cost. One instance per policy. With
 * `rules`, the evidence fields in an expression are checked against those rules, as for a new configuration.
 */
export function createLanguage(rules?: readonly RuleEvidence[]) {
  const patterns = new Map<string, RE2JS>()
  const known = rememberLast(withoutUnknown)
  let searchesLeft = 0

  function search(text: string, pattern: string): boolean {
    searchesLeft -= text.length
    if (searchesLeft < 0) throw new EvaluationError('the finding is too long for pattern matching')
    return patterns.get(pattern)?.test(text) ?? false
  }

  const base = new Environment({ limits })
    .registerType('Container', { ctor: ContainerValue, fields: containerFields })
    // CEL's `matches` with RE2, as specified: the library's own method uses JavaScript regular expressions, which can
    // take unbounded time. The replacement name has the same length, so that offsets in the text stay valid.
    .registerFunction(`string.${searchMethod}(string): bool`, search)
  for (const [name, type] of Object.entries(variables)) base.registerVariable(name, type)
  const environment = base.clone().registerVariable('evidence', evidenceType)
  const checkEvidence = rules === undefined ? null : evidenceCheck(base, rules)

  return {
    /** Resets the search limit; call before evaluating the expressions for a finding. */
    startFinding(): void {
      searchesLeft = searchedPerFinding
    },

    /** Never throws, whatever the text is. */
    compile(text: string): Expression | ExpressionError {
      if (text.length > maxLength)
        return { offset: maxLength, message: `must be at most ${maxLength} characters long` }
      try {
        const { source, oldNames } = withCurrentNames(text)
        const compiled = compile(source)
        return 'matches' in compiled ? { ...compiled, oldNames } : compiled
      } catch (error) {
        return toError(error)
      }
    },
  }

  function compile(text: string): Omit<Expression, 'oldNames'> | ExpressionError {
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
      return { offset: 0, message: `must be of type bool, but is of type ${checked.type ?? 'unknown'}` }
    }
    const guards = guardsOf(program.ast)
    const concerns = (rule: RuleName) => areFor(guards, rule)
    const problem = checkEvidence?.({ source, asked, concerns }) ?? null
    if (problem !== null) return 'error' in problem ? toError(problem.error) : problem
    const isTrue = (subject: Subject) => program(known(subject)) === true
    return {
      guards,
      concerns,
      matches: (subject) => guards.every((guard) => guard.holds(subject)) && holds(isTrue, subject),
    }
  }
}

/** A null value was unknown, and is treated like a missing field. */
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

/** Compiles an RE2 pattern of limited size; throws if it is invalid. */
export function compilePattern(pattern: string): RE2JS {
  if (pattern.length > 1_000) throw new Error('the pattern must be at most 1000 characters long')
  const compiled = RE2JS.compile(pattern)
  const size = compiled.programSize()
  if (size > maxProgram)
    throw new Error(`the pattern is too complex: ${size} steps, the limit is ${maxProgram}`)
  return compiled
}

// Evidence differs by rule: a field that this finding lacks is not an error.
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

// A language costs as much as some hundred expressions. It stores their patterns, so it is replaced regularly.
const maxChecks = 1_000

/** Checks the expressions of configuration files, one after another. */
export function expressionChecker(rules: () => readonly RuleEvidence[]) {
  let language: ReturnType<typeof createLanguage> | undefined
  let checks = 0
  return (text: string): ExpressionError | null => {
    if (language === undefined || checks % maxChecks === 0) language = createLanguage(rules())
    checks += 1
    const compiled = language.compile(text)
    return 'matches' in compiled ? null : compiled
  }
}
