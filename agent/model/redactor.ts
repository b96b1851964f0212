import type { Json } from './finding.ts'

/** Masks secrets before data leaves the process. */
export type Redactor = {
  text(text: string): string
  /** A field of evidence: lists of strings count as command lines, and fields with a secret's name as secrets. */
  field(key: string, value: Json): Json
}
