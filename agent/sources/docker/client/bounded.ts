import { hash } from 'node:crypto'
import { objectOf } from '../../../lib/json-object.ts'

// Whoever makes an image or calls the API chooses how long labels and commands are, and each container and exec that is
// known keeps its own. So they are cut where they come in; what is cut differs where the wholes do.

// A label of Kubernetes or compose is some hundred characters; containerd allows 4,096.
const maxLabel = 4_096
const maxLabels = 32_768
const maxArgument = 4_096
const maxArguments = 8_192
// Empty ones take memory too.
const overhead = 16

/** A text of at most so many characters. What is cut is a copy: a slice would keep all of it in memory. */
export function boundedText(text: string, max = maxArgument): string {
  if (text.length <= max) return text
  const mark = `…[${text.length} characters, ${digestOf(text)}]`
  return Buffer.from(text.slice(0, max - mark.length) + mark).toString()
}

/** An argv of at most some thousand characters; the program always stays, and the same argv is always cut the same. */
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

/** Labels, or an event's attributes; of many, the engine's own words stay, then what containers are told apart by. */
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
  if (engineWords.has(key)) return 0
  return knownPrefixes.some((prefix) => key.startsWith(prefix)) ? 1 : 2
}

/** The attributes of events that are no labels; a label may nevertheless be called so. */
export const engineWords: ReadonlySet<string> = new Set([
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
