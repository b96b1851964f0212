import type { Detection, Finding, Json } from './model/finding.ts'
import { clip, printable } from './model/text.ts'
import type { Redactor } from './policy/redact.ts'

const maxSummary = 400
const maxText = 4_096
const maxItems = 128

/** A detection's line for people: without secrets, bounded and escaped. */
export function summaryOf({ summary }: Detection, redact: Redactor): string {
  // Before it is cut to its length: what is cut off could be what a secret is known by.
  const readable = redact.text(summary.slice(0, maxText))
  return printable(clip(readable, maxSummary, Math.max(readable.length, summary.length)))
}

/** A detection's evidence: bounded, without secrets, and with the further rules that applied. */
export function evidenceOf(
  { evidence }: Detection,
  also: readonly string[],
  redact: Redactor,
): Finding['evidence'] {
  const bounded = Object.entries(bound(evidence) as Finding['evidence']).map(
    ([key, value]) => [key, redact.field(key, value)] as const,
  )
  return Object.fromEntries(also.length === 0 ? bounded : [...bounded, ['also', also]])
}

/** Keeps evidence small whatever a detector, or a container through it, puts there. */
function bound(value: Json): Json {
  if (typeof value === 'string') return clip(value, maxText)
  if (Array.isArray(value)) return value.slice(0, maxItems).map(bound)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, maxItems)
      .map(([key, item]) => [clip(key, 128), bound(item)]),
  )
}
