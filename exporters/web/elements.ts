import { html, type Html } from './html.ts'

/** A table, or a sentence if there are no rows. */
export function sheet(head: Html, rows: readonly Html[], none: string): Html {
  if (rows.length === 0) return html`<div class="sheet"><p>${none}</p></div>`
  return html`<div class="sheet">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`
}

/** A coloured label. */
export function pill(kind: string): Html {
  return html`<span class="pill ${kind}">${kind}</span>`
}

/** A readable time in UTC. */
export function clock(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** A rounded duration. */
export function span(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}
