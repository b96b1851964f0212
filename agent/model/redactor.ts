import type { Json } from './finding.ts'

/** Masks secrets in what is about to leave the process. */
export type Redactor = {
  text(text: string): string
  /** A field of evidence: lists of texts are taken for command lines, and fields whose name says so for secrets. */
  field(key: string, value: Json): Json
}
