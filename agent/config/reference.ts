import { stringify } from 'yaml'
import { z } from 'zod'
import type { ConfigSchema } from './schema.ts'

/** The subset of JSON Schema (2020-12) that the configuration needs. */
export type Schema = {
  type?: string
  description?: string
  default?: unknown
  properties?: Readonly<Record<string, Schema>>
  required?: readonly string[]
  items?: Schema
  enum?: readonly string[]
  minimum?: number
  exclusiveMinimum?: number
  maximum?: number
  quantity?: string
  range?: string
}

/** The schema of the configuration file for editors. */
export function configJsonSchema(config: ConfigSchema): Schema {
  const { $schema, ...schema } = z.toJSONSchema(config, { io: 'input' })
  return { $schema, title: 'Configuration of tidewatch', ...schema } as Schema
}

/** Every key with its default, unit and description, as a configuration file equal to the defaults. */
export function referenceYaml(schema: Schema): string {
  return `# yaml-language-server: $schema=tidewatch.schema.json
#
# Every configuration key with its default. Keys that are commented out have no default. Generated from the schema.
# Examples of durations: 30s, 5m, 1h30m, 7d. Examples of sizes: 64KiB, 256MiB.
${lines(schema, 0).join('\n')}
`
}

function lines({ properties = {} }: Schema, depth: number): string[] {
  return Object.entries(properties).flatMap(([key, schema], index) => {
    // A blank line before each top-level section.
    const gap = depth === 0 || (index > 0 && isSection(schema) && !isSwitch(schema)) ? [''] : []
    return [...gap, ...entry(key, schema, depth)]
  })
}

function entry(key: string, schema: Schema, depth: number): string[] {
  const pad = '  '.repeat(depth)
  const comments = about(schema).map((text) => `${pad}# ${text}`)
  if (isSwitch(schema)) return [...comments, `${pad}${key}: ${flow(defaultsOf(schema))}`]
  if (isSection(schema)) {
    // A section without a default is absent unless it is written out.
    if (schema.default === undefined) {
      const inner = lines(schema, 1).map((line) => `${pad}# ${line}`.trimEnd())
      return [...comments, `${pad}# ${key}:`, ...inner]
    }
    return [...comments, `${pad}${key}:`, ...lines(schema, depth + 1)]
  }
  if (schema.type === 'array') {
    const item = key === 'overrides' ? [] : itemLines(schema.items, pad)
    return [...comments, `${pad}${key}: ${flow(schema.default ?? [])}`, ...item]
  }
  if (schema.default === undefined) return [...comments, `${pad}# ${key}:`]
  return [...comments, `${pad}${key}: ${flow(schema.default)}`]
}

/** The keys of one item in a list of mappings, as comments. */
function itemLines(items: Schema | undefined, pad: string): string[] {
  return keyLines(items ?? {}, 0).map((line, index) => `${pad}# ${index === 0 ? '  - ' : '    '}${line}`)
}

/** The keys of an item and of its nested mappings, each with its description. */
function keyLines({ properties = {}, required = [] }: Schema, depth: number): string[] {
  const pad = '  '.repeat(depth)
  return Object.entries(properties).flatMap(([key, schema]) => {
    const isRequired = required.includes(key)
    const value = schema.default === undefined ? '' : ` ${flow(schema.default)}`
    const comments = about(schema).map((text) => `${pad}# ${text}${isRequired ? ' Required.' : ''}`)
    return [...comments, `${pad}${key}:${value}`, ...keyLines(schema, depth + 1)]
  })
}

function isSection({ properties }: Schema): boolean {
  return properties !== undefined
}

/** A rule's switch and severity are written on one line. */
function isSwitch({ properties = {} }: Schema): boolean {
  return Object.keys(properties).join() === 'enabled,severity'
}

function defaultsOf({ properties = {} }: Schema): unknown {
  return Object.fromEntries(Object.entries(properties).map(([key, schema]) => [key, schema.default]))
}

function flow(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()
}

function about(schema: Schema): string[] {
  const kind = isSection(schema) ? '' : kindOf(schema)
  const text = [schema.description ?? '', kind].filter((part) => part !== '').join(' ')
  return text === '' ? [] : [text]
}

function kindOf({ type, enum: words, quantity, range, minimum, exclusiveMinimum, maximum }: Schema): string {
  if (words !== undefined) return `One of ${words.join(', ')}.`
  if (quantity !== undefined) return `A ${quantity}, ${range}.`
  if (type === 'integer' || type === 'number') {
    const [least, to] =
      exclusiveMinimum === undefined ? [minimum, 'to'] : [`above ${exclusiveMinimum}`, 'up to']
    // zod limits integers to JavaScript's safe range, which is not worth documenting.
    const most = maximum === undefined || maximum > 1e15 ? 'and up' : `${to} ${maximum}`
    return `A ${type === 'integer' ? 'whole number' : 'number'}, ${least ?? 'any'} ${most}.`
  }
  return type === 'boolean' ? 'true or false.' : ''
}
