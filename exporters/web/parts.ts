import { html, type Html } from './html.ts'

/** A table, or a sentence where it would be empty. */
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

/** A word in a frame of its colour. */
export function pill(kind: string): Html {
  return html`<span class="pill ${kind}">${kind}</span>`
}

/** A time as people read it, in UTC. */
export function clock(ms: number): string {
  return new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

/** How long something lasted, roughly. */
export function span(ms: number): string {
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}
