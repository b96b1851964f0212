import { stringify } from 'yaml'
import { z } from 'zod'
import type { ConfigSchema } from './schema.ts'

/** The part of JSON Schema (2020-12) that the configuration needs. */
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

/** Every key with its default, its unit and a sentence, as a configuration that means the defaults. */
export function referenceYaml(schema: Schema): string {
  return `# yaml-language-server: $schema=tidewatch.schema.json
#
# Every key of the configuration with its default. What is commented out has none. Made from the schema.
# A duration is written like 30s, 5m, 1h30m or 7d, a size like 64KiB or 256MiB.
${lines(schema, 0).join('\n')}
`
}

function lines({ properties = {} }: Schema, depth: number): string[] {
  return Object.entries(properties).flatMap(([key, schema], index) => {
    // Sections at the top stand apart.
    const gap = depth === 0 || (index > 0 && isSection(schema) && !isSwitch(schema)) ? [''] : []
    return [...gap, ...entry(key, schema, depth)]
  })
}

function entry(key: string, schema: Schema, depth: number): string[] {
  const pad = '  '.repeat(depth)
  const said = about(schema).map((text) => `${pad}# ${text}`)
  if (isSwitch(schema)) return [...said, `${pad}${key}: ${flow(defaultsOf(schema))}`]
  if (isSection(schema)) {
    // A section without a default is as good as absent unless it is written whole.
    if (schema.default === undefined) {
      const inner = lines(schema, 1).map((line) => `${pad}# ${line}`.trimEnd())
      return [...said, `${pad}# ${key}:`, ...inner]
    }
    return [...said, `${pad}${key}:`, ...lines(schema, depth + 1)]
  }
  if (schema.type === 'array') {
    const item = key === 'overrides' ? [] : itemLines(schema.items, pad)
    return [...said, `${pad}${key}: ${flow(schema.default ?? [])}`, ...item]
  }
  if (schema.default === undefined) return [...said, `${pad}# ${key}:`]
  return [...said, `${pad}${key}: ${flow(schema.default)}`]
}

/** What one item of a list of mappings may hold, as comments. */
function itemLines(items: Schema | undefined, pad: string): string[] {
  return keyLines(items ?? {}, 0).map((line, index) => `${pad}# ${index === 0 ? '  - ' : '    '}${line}`)
}

/** The keys of an item, and of the mappings in it, each with what it means. */
function keyLines({ properties = {}, required = [] }: Schema, depth: number): string[] {
  const pad = '  '.repeat(depth)
  return Object.entries(properties).flatMap(([key, schema]) => {
    const isRequired = required.includes(key)
    const value = schema.default === undefined ? '' : ` ${flow(schema.default)}`
    const said = about(schema).map((text) => `${pad}# ${text}${isRequired ? ' Required.' : ''}`)
    return [...said, `${pad}${key}:${value}`, ...keyLines(schema, depth + 1)]
  })
}

function isSection({ properties }: Schema): boolean {
  return properties !== undefined
}

/** A rule's switch and severity stand in one line. */
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
    const least = exclusiveMinimum === undefined ? minimum : `above ${exclusiveMinimum}`
    // zod bounds whole numbers by what JavaScript can hold, which is no bound.
    const most = maximum === undefined || maximum > 1e15 ? 'up' : `up to ${maximum}`
    return `A ${type === 'integer' ? 'whole number' : 'number'}, ${least ?? 'any'} ${most === 'up' ? 'and up' : most}.`
  }
  return type === 'boolean' ? 'true or false.' : ''
}
