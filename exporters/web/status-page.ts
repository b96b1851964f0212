import { createHash } from 'node:crypto'
import type { Finding, Severity } from '../../agent/model/finding.ts'
import type { SourceStatus } from '../../agent/model/observation.ts'
import { findingsTable } from './findings-table.ts'
import { html, type Html, nothing } from './html.ts'
import { clock, pill, sheet, span } from './elements.ts'
import { style } from './status-style.ts'
import { type Status } from './status.ts'

/** Allows only the inline style sheet and the icon: nothing may be loaded or executed. */
export const contentSecurityPolicy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 10q3.5-6 7 0t7 0' fill='none' stroke='%231257a6' stroke-width='2'/%3E%3C/svg%3E"

/** The page at `/`: sources with their modes, and findings. It works without JavaScript. */
export function renderStatusPage(status: Status, withEvidence: boolean): string {
  const { host, version, startedAt, now, storeMode, firing, latest } = status
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>tidewatch on ${host}</title>
        <link rel="icon" href="${{ markup: icon }}" />
        ${{ markup: `<style>${style}</style>` }}
      </head>
      <body>
        <header>
          <h1>tidewatch on ${host}</h1>
          <p>version ${version}, up ${span(now - startedAt)}, as of ${clock(now)} UTC</p>
        </header>
        <main>
          ${cards(status)}
          <h2>Sources</h2>
          ${sources(status)}
          <h2>Firing now</h2>
          ${findingsTable(firing, status, withEvidence, 'No conditions are firing.')}
          <h2>Latest findings</h2>
          ${findingsTable(latest, status, withEvidence, 'No findings yet.')}
          ${withEvidence ? nothing : html`<p>Evidence is shown only to local and authenticated users.</p>`}
          ${receivers(status)}
        </main>
        <footer>
          Findings are stored in ${storeMode === 'file' ? 'the state directory' : 'memory only'} ·
          <a href="/metrics">metrics</a> · <a href="/-/healthy">health</a> ·
          <a href="/-/ready">readiness</a> · <a href="/runbooks">runbooks</a>
        </footer>
      </body>
    </html> `
  return page.markup
}

function cards({ firing, counters, containersRunning, sources: all }: Status): Html {
  const healthy = all.filter(({ status }) => status !== undefined && stateOf(status) === 'healthy').length
  const { findings, execs, healthchecks } = counters
  return html`<div class="cards">
    ${card(firing.length, 'firing now', firing.length === 0 ? 'healthy' : worst(firing))}
    ${card(findings.critical, 'critical since start', findings.critical === 0 ? '' : 'critical')}
    ${card(findings.warning, 'warnings since start', findings.warning === 0 ? '' : 'warning')}
    ${card(findings.info, 'infos since start', '')}
    ${card(containersRunning, containersRunning === 1 ? 'running container' : 'running containers', '')}
    ${card(execs, `execs, and ${healthchecks.toLocaleString('en-US')} health checks`, '')}
    ${card(`${healthy} of ${all.length}`, 'sources healthy', healthy === all.length ? 'healthy' : 'degraded')}
  </div>`
}

function card(value: string | number, label: string, kind: string): Html {
  return html`<div class="card"><b class="${kind}">${value}</b><span>${label}</span></div>`
}

function worst(findings: readonly Finding[]): Severity {
  const has = (severity: Severity) => findings.some((finding) => finding.severity === severity)
  return has('critical') ? 'critical' : has('warning') ? 'warning' : 'info'
}

function sources({ sources: all, counters }: Status): Html {
  const rows = all.map(({ name, status }) => {
    const state = stateOf(status)
    const numbers = [counters.events.get(name) ?? 0, counters.lost.get(name) ?? 0] as const
    return html`<tr>
      <td>${name}</td>
      <td>${pill(state)}</td>
      <td>${status?.mode ?? ''}</td>
      <td class="number" title="events">${numbers[0]}</td>
      <td class="number" title="lost">${numbers[1]}</td>
      <td class="what">${status?.reason ?? ''}</td>
    </tr>`
  })
  return sheet(
    html`<th>source</th>
      <th>state</th>
      <th>mode</th>
      <th class="number">events</th>
      <th class="number">lost</th>
      <th>reason</th>`,
    rows,
    'No sources.',
  )
}

function stateOf(status: SourceStatus | undefined): string {
  if (status === undefined) return 'starting'
  if (!status.up) return 'down'
  return status.best ? 'healthy' : 'degraded'
}

function receivers({ receivers: all }: Status): Html {
  if (all.length === 0) return nothing
  const rows = all.map(
    ({ name, waiting }) =>
      html`<tr>
        <td class="name">${name}</td>
        <td class="number" title="queued">${waiting}</td>
      </tr>`,
  )
  return html`<h2>Receivers</h2>
    ${sheet(
      html`<th>receiver</th>
        <th class="number">queued findings</th>`,
      rows,
      '',
    )}`
}
