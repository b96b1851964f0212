import { defaultRunbookBase } from '../agent/config/schema.ts'

/** What to do about an alert: each has a page of its name, so that a link can be made without a table. */
export function runbookUrl(alertName: string, base: string = defaultRunbookBase): string {
  return `${base.replace(/\/+$/, '')}/${alertName}.md`
}
