import { readFileSync } from 'node:fs'
import { isMap, isScalar, LineCounter, type Node, parseDocument, type Pair } from 'yaml'
import type { z } from 'zod'
import { errorCode, exitConfiguration, messageOf, UserError } from '../errors.ts'
import { type Config, configSchema } from './schema.ts'

/** One thing that is wrong in a configuration file, and where. Line and column count from 1. */
export type ConfigProblem = { line: number; column: number; path: string; message: string }

export type ParsedConfig = { config: Config } | { problems: readonly ConfigProblem[] }

/** The configuration that a daemon without a file has. */
export function defaultConfig(): Config {
  return configSchema.parse({})
}

/** Reads a configuration file; throws one `UserError` that lists everything wrong with it. */
export function loadConfig(file: string): Config {
  const parsed = parseConfig(readConfigFile(file))
  if ('config' in parsed) return parsed.config
  const lines = parsed.problems.map((problem) => formatProblem(file, problem))
  throw new UserError(lines.join('\n'), exitConfiguration)
}

/** `file:line:column path: what is wrong`, as editors and compilers have taught people to read it. */
export function formatProblem(file: string, { line, column, path, message }: ConfigProblem): string {
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`
}

/** Parses and validates the configuration; never throws, whatever the text is. */
export function parseConfig(text: string): ParsedConfig {
  const parsed = parseYaml(text, configSchema)
  return 'value' in parsed ? { config: parsed.value } : parsed
}

/** Parses YAML text and holds it against a schema; never throws, whatever the text is. */
export function parseYaml<S extends z.ZodType>(
  text: string,
  schema: S,
): { value: z.output<S> } | { problems: readonly ConfigProblem[] } {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true })
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
    // Aliases that multiply ("billion laughs") end in an error of the parser. An empty section (`log:`)
    // is a null in YAML, and means the defaults.
    value = document.toJS({ reviver: (_key, item: unknown) => item ?? undefined }) ?? {}
  } catch (error) {
    return { problems: [{ line: 1, column: 1, path: '', message: messageOf(error) }] }
  }
  const result = schema.safeParse(value, { reportInput: true })
  if (result.success) return { value: result.data }
  const problems = result.error.issues.flatMap(describeIssue)
  return {
    problems: problems
      .map(({ path, message }) => ({
        ...at(offsetOf(document.contents, path)),
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
    const reason = errorCode(error) === 'ENOENT' ? 'there is no such file' : messageOf(error)
    throw new UserError(`${file}: cannot read the configuration: ${reason}`, exitConfiguration)
  }
}

type Path = readonly PropertyKey[]
type Problem = { path: Path; message: string }

function describeIssue(issue: z.core.$ZodIssue): Problem[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }))
  }
  const message =
    issue.code === 'invalid_type' && issue.input === undefined
      ? 'is required'
      : issue.message.replace('Invalid input: ', '')
  return [{ path: issue.path, message }]
}

function formatPath(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '')
}

/** Where in the text the value of a path stands, or its key where there is one, or what encloses it. */
function offsetOf(root: Node | null, path: Path): number {
  let node: unknown = root
  let offset = root?.range?.[0] ?? 0
  for (const part of path) {
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(part),
      )
      if (pair === undefined) return offset
      offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSequence(node) && typeof part === 'number') {
      node = node.items[part]
      offset = startOf(node) ?? offset
    } else return offset
  }
  return offset
}

function isSequence(node: unknown): node is { items: unknown[] } {
  return typeof node === 'object' && node !== null && 'items' in node && Array.isArray(node.items)
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0]
}

function oneLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
