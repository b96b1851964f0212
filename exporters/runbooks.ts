/** Where the pages of docs/runbooks are read when nothing else is configured: the project's own repository. */
export const defaultRunbookBase = 'https://github.com/tidewatch/tidewatch/blob/main/docs/runbooks'

/** What to do about an alert: each has a page of its name, so that a link can be made without a table. */
export function runbookUrl(alertName: string, base: string = defaultRunbookBase): string {
  return `${base.replace(/\/+$/, '')}/${alertName}.md`
}
