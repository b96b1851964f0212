import { hash } from 'node:crypto'

/** A hash of text or a list of texts as 12 hexadecimal digits, for identifiers that people see. */
export function shortHash(value: string | readonly unknown[]): string {
  return hash('sha256', JSON.stringify(value)).slice(0, 12)
}
