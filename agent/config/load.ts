import { readFileSync } from 'node:fs'
import { LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { errorCode, exitConfiguration, messageOf, UserError } from '../lib/errors.ts'
import type { ParsedValue } from './parse.ts'
import { offsetInText, offsetOf, type Path, valueAt } from './yaml-positions.ts'
import type { Config } from './schema.ts'

/** One error in a configuration file and its position. Line and column count from 1. */
export type ConfigProblem = { line: number; column: number; path: string; message: string }

/** A valid configuration; `written` returns a key's value in the file and its line (from 1), or null if not set. */
export type LoadedConfig = {
  config: Config
  written: (path: Path) => { value: unknown; line: number } | null
}

export type ParsedConfig = LoadedConfig | { problems: readonly ConfigProblem[] }

export type ParseValue = (value: unknown) => ParsedValue

/** Reads a configuration file; throws one `UserError` that lists all errors. */
export function loadConfig(file: string, parseValue: ParseValue): LoadedConfig {
  const parsed = parseConfig(readConfigFile(file), parseValue)
  if ('config' in parsed) return parsed
  const lines = parsed.problems.map((problem) => formatProblem(file, problem))
  throw new UserError(lines.join('\n'), exitConfiguration)
}

/** `file:line:column path: message`, the format of compilers, which editors can follow. */
export function formatProblem(file: string, { line, column, path, message }: ConfigProblem): string {
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`
}

/** Parses and validates the configuration; never throws, whatever the text is. */
export function parseConfig(text: string, parseValue: ParseValue): ParsedConfig {
  const parsed = parseText(text, (value) => {
    const result = parseValue(value)
    return 'config' in result ? { data: result.config } : result
  })
  return 'data' in parsed ? { config: parsed.data, written: parsed.written } : parsed
}

/** Parses YAML text and checks it against a schema; never throws, whatever the text is. */
export function parseYaml<S extends z.ZodType>(
  text: string,
  schema: S,
): { value: z.output<S> } | { problems: readonly ConfigProblem[] } {
  const parsed = parseText<z.output<S>>(text, (value) => {
    const result = schema.safeParse(value, { reportInput: true })
    return result.success ? { data: result.data } : { issues: result.error.issues }
  })
  return 'data' in parsed ? { value: parsed.data } : parsed
}

type Validated<T> = { data: T } | { issues: readonly z.core.$ZodIssue[] }
type Parsed<T> = { data: T; written: LoadedConfig['written'] } | { problems: readonly ConfigProblem[] }

function parseText<T>(text: string, validate: (value: unknown) => Validated<T>): Parsed<T> {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    logLevel: 'error',
  })
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }

  const faults = [...document.errors, ...document.warnings]
  if (faults.length > 0) {
    return {
      problems: faults.map(({ pos, message }) => ({ ...at(pos[0]), path: '', message: oneLine(message) })),
    }
  }
  let value: unknown
  try {
    // The parser rejects exponentially expanding aliases ("billion laughs"). An empty section (`log:`) is null in
    // YAML, and means the defaults.
    value = document.toJS({ reviver: (_key, item: unknown) => item ?? undefined }) ?? {}
  } catch (error) {
    return { problems: [{ line: 1, column: 1, path: '', message: messageOf(error) }] }
  }
  const result = validate(value)
  if ('data' in result) {
    const written = (path: Path) => {
      const found = valueAt(value, path)
      return found === undefined ? null : { value: found, line: at(offsetOf(document.contents, path)).line }
    }
    return { data: result.data, written }
  }
  const problems = result.issues.flatMap(describeIssue)
  return {
    problems: problems
      .map(({ path, message, offset }) => ({
        ...at(
          offset === undefined
            ? offsetOf(document.contents, path)
            : offsetInText(text, document.contents, path, offset),
        ),
        path: formatPath(path),
        message,
      }))
      .toSorted((a, b) => a.line - b.line || a.column - b.column),
  }
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason = errorCode(error) === 'ENOENT' ? 'no such file' : messageOf(error)
    throw new UserError(`${file}: cannot read the configuration file: ${reason}`, exitConfiguration)
  }
}

/** `offset` is the position of the error within a string value. */
type Problem = { path: Path; message: string; offset?: number }

function describeIssue(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }))
  }
  const message =
    issue.code === 'invalid_type' && issue.input === undefined
      ? 'is required'
      : issue.message.replace('Invalid input: ', '')
  const offset: unknown = issue.code === 'custom' ? issue.params?.['offset'] : undefined
  return [{ path: issue.path, message, ...(typeof offset === 'number' && { offset }) }]
}

function formatPath(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

function oneLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
