import type { Detection, Finding, Json } from '../model/finding.ts'
import { isList, mapFields, mapItems } from '../model/json.ts'
import { clip, printable } from '../lib/text.ts'
import type { Redactor } from '../model/redactor.ts'

const maxSummary = 400
const maxText = 4_096
const maxItems = 128
const maxKey = 128

/** A detection's summary: redacted, bounded and escaped. */
export function summaryOf({ summary }: Detection, redact: Redactor): string {
  // Redact before clipping: the clipped part may be what identifies a secret.
  const readable = redact.text(summary.slice(0, maxText))
  return printable(clip(readable, maxSummary, Math.max(readable.length, summary.length)))
}

/** A detection's evidence: bounded, redacted, and with the other rules that matched. */
export function evidenceOf(
  { evidence }: Detection,
  also: readonly string[],
  redact: Redactor,
): Finding['evidence'] {
  const redacted = mapFields(boundFields(evidence), redact.field)
  return also.length === 0 ? redacted : { ...redacted, also }
}

/** Limits the size of evidence, whose content a container can influence. */
function bound(value: Json): Json {
  if (typeof value === 'string') return clip(value, maxText)
  if (typeof value !== 'object' || value === null) return value
  if (isList(value)) return mapItems(value.length > maxItems ? value.slice(0, maxItems) : value, bound)
  return boundFields(value)
}

function boundFields(fields: Finding['evidence']): Finding['evidence'] {
  const keys = Object.keys(fields)
  const isSmall = keys.length <= maxItems && keys.every((key) => key.length <= maxKey)
  const small = isSmall
    ? fields
    : Object.fromEntries(keys.slice(0, maxItems).map((key) => [clip(key, maxKey), fields[key]]))
  return mapFields(small, (_key, value) => bound(value))
}
