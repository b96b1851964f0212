import type { Finding, Json } from '../agent/model/finding.ts'
import { clip, commandLine, printable } from '../agent/lib/text.ts'

// More entries than any rule has. A container controls some of these values, so their number and length are bounded.
const maxEntries = 24

/** Evidence as bounded lines of printable text for display. Empty values are left out. */
export function evidenceLines(
  evidence: Finding['evidence'],
  maxLength: number,
): [key: string, text: string][] {
  return Object.entries(evidence)
    .slice(0, maxEntries)
    .map(([key, value]): [string, string] => [key, evidenceText(value, maxLength)])
    .filter(([, text]) => text !== '')
}

/** One value as bounded, printable text; empty if there is no value. */
export function evidenceText(value: Json, maxLength: number): string {
  return clip(printable(plainText(value)), maxLength)
}

function plainText(value: Json): string {
  if (value === undefined || value === null) return ''
  if (typeof value === 'string') return value
  const isArgv = Array.isArray(value) && value.every((item) => typeof item === 'string')
  return isArgv ? commandLine(value) : JSON.stringify(value)
}
