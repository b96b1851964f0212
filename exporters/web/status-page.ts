import { createHash } from 'node:crypto'
import type { Finding } from '../../agent/model/finding.ts'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { printable } from '../../agent/model/text.ts'

export type Status = {
  host: string
  version: string
  startedAt: number
  now: number
  sources: readonly { name: string; status: SourceStatus | undefined }[]
  containersRunning: number
  receivers: readonly { name: string; waiting: number }[]
  storeMode: string
  firing: readonly Finding[]
  latest: readonly Finding[]
}

const style = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --line: #8884; --soft: #8888 }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1.05rem; margin: 2rem 0 .4rem }
p.about { color: var(--soft); margin: .2rem 0 0 }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--soft) }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.what { overflow-wrap: anywhere } td.when { white-space: nowrap; font-variant-numeric: tabular-nums }
b { font-weight: 600 } .critical, .down { color: #c62828 } .warning, .degraded { color: #b26a00 } .info { color: #1565c0 } .well { color: #2e7d32 }
`

/** Nothing may be loaded or run but the one style sheet of the page itself. */
export const contentSecurityPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** The page at `/`: what is watched, in which mode, and what was found, without a script. */
export function renderStatusPage(status: Status, withFindings: boolean): string {
  const { host, version, startedAt, now, containersRunning, storeMode } = status
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>tidewatch on ${html(host)}</title><style>${style}</style></head>
<body>
<h1>tidewatch on ${html(host)}</h1>
<p class="about">version ${html(version)}, up ${span(now - startedAt)}, ${containersRunning} running ${containersRunning === 1 ? 'container' : 'containers'},
findings kept in ${storeMode === 'file' ? 'the state directory' : 'memory only'} · <a href="/metrics">metrics</a></p>
<h2>Sources</h2>
${table(['source', 'state', 'mode', ''], status.sources.map(sourceRow))}
${
  status.receivers.length === 0
    ? ''
    : `<h2>Receivers</h2>${table(
        ['receiver', 'waiting'],
        status.receivers.map(({ name, waiting }) => [html(name), String(waiting)]),
      )}`
}
${withFindings ? findings(status) : '<p>Findings are shown to readers on the host itself.</p>'}
</body>
</html>
`
}

function findings({ firing, latest }: Status): string {
  return `<h2>Firing now</h2>
${firing.length === 0 ? '<p>Nothing.</p>' : table(findingHead, firing.map(findingRow))}
<h2>Last findings</h2>
${latest.length === 0 ? '<p>None yet.</p>' : table(findingHead, latest.map(findingRow))}`
}

const findingHead = ['when', 'severity', 'rule', 'container', 'what']

function findingRow({ last_seen, severity, state, rule, container, summary }: Finding): string[] {
  return [
    html(last_seen.replace('T', ' ').slice(0, 19)),
    `<b class="${severity}">${severity}</b>${state === 'resolved' ? ', resolved' : ''}`,
    html(rule),
    html(container?.name ?? ''),
    html(summary),
  ]
}

function sourceRow({ name, status }: Status['sources'][number]): string[] {
  const state = status === undefined ? 'starting' : !status.up ? 'down' : status.best ? 'well' : 'degraded'
  return [
    html(name),
    `<b class="${state}">${state}</b>`,
    html(status?.mode ?? ''),
    html(status?.reason ?? ''),
  ]
}

const classes: Readonly<Record<string, string>> = {
  when: ' class="when"',
  what: ' class="what"',
  '': ' class="what"',
}

/** Cells are HTML already. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const body = rows.map(
    (row) => `<tr>${row.map((cell, i) => `<td${classes[head[i] ?? ''] ?? ''}>${cell}</td>`).join('')}</tr>`,
  )
  return `<table><thead><tr>${head.map((title) => `<th>${title}</th>`).join('')}</tr></thead><tbody>${body.join('\n')}</tbody></table>`
}

function span(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text for HTML, hostile or not. */
function html(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
