/** Where runbooks are read: under the configured address, or at the daemon itself. */
export type RunbookPlaces = {
  /** Address of the operator's own pages, each named `ALERT.md`. */
  configured?: string | undefined
  /** Address under which readers reach the daemon. */
  daemon: string
}

/** Makes the URL of an alert's runbook. Every page is named after its alert, so no lookup table is needed. */
export function runbookUrls({ configured, daemon }: RunbookPlaces): (alertName: string) => string {
  return configured === undefined
    ? (alertName) => `${withoutSlash(daemon)}/runbooks/${alertName}`
    : (alertName) => `${withoutSlash(configured)}/${alertName}.md`
}

/** In Prometheus rules: the daemon that was scraped serves the pages. */
export const scrapedRunbookUrl = runbookUrls({ daemon: 'http://{{ $labels.instance }}' })

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, '')
}
