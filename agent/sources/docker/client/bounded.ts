import { hash } from 'node:crypto'
import { objectOf } from '../../../lib/json-object.ts'

// Image authors and API clients choose how long labels and commands are, and every known container and exec holds its
// own. So they are truncated on input. A digest keeps truncated texts distinct if the full texts differ.

// A Kubernetes or Compose label has some hundred characters; containerd allows 4,096.
const maxLabel = 4_096
const maxLabels = 32_768
const maxArgument = 4_096
const maxArguments = 8_192
// Empty strings take memory too.
const overhead = 16

/** Truncates a text to `max` characters. The result is a copy: a slice would keep the whole text in memory. */
export function boundedText(text: string, max = maxArgument): string {
  if (text.length <= max) return text
  const mark = `…[${text.length} characters, ${digestOf(text)}]`
  return Buffer.from(text.slice(0, max - mark.length) + mark).toString()
}

/**
 * Truncates an argv to some thousand characters. It keeps the program, and the same argv always gives the same
 * result.
 */
export function boundedArgv(argv: readonly string[]): string[] {
  let left = maxArguments
  const kept: string[] = []
  for (const argument of argv) {
    const bounded = boundedText(argument)
    left -= bounded.length + overhead
    if (left < 0) break
    kept.push(bounded)
  }
  if (kept.length === argv.length) return kept
  const rest = argv.slice(kept.length)
  return [...kept, `…[${rest.length} more arguments, ${digestOf(rest.join('\0'))}]`]
}

/**
 * Labels or event attributes. If there are too many, the engine's own attributes are kept first, then the labels that
 * identify containers.
 */
export function boundedTexts(value: unknown): Record<string, string> {
  const entries = Object.entries(objectOf(value))
    .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
    .map(([key, text]): [string, string] => [key, boundedText(text, maxLabel)])
  if (sizeOf(entries) <= maxLabels) return Object.fromEntries(entries)
  let left = maxLabels
  const kept = entries
    .toSorted(([a], [b]) => rankOf(a) - rankOf(b))
    .filter((entry) => {
      const size = sizeOf([entry])
      if (size > left) return false
      left -= size
      return true
    })
  return Object.fromEntries(kept)
}

function sizeOf(entries: readonly [string, string][]): number {
  return entries.reduce((size, [key, text]) => size + key.length + text.length + overhead, 0)
}

function rankOf(key: string): number {
  if (engineAttributes.has(key)) return 0
  return knownPrefixes.some((prefix) => key.startsWith(prefix)) ? 1 : 2
}

/** The event attributes that are not labels. A label may still have such a name. */
export const engineAttributes: ReadonlySet<string> = new Set([
  'name',
  'image',
  'execID',
  'exitCode',
  'signal',
  'oldName',
])

const knownPrefixes = ['com.docker.', 'io.kubernetes.', 'tidewatch.']

function digestOf(text: string): string {
  return `sha256 ${hash('sha256', text).slice(0, 16)}`
}
