import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { renderTable } from '../../agent/cli/table.ts'
import type { ScrapeCost } from './scrape-one.ts'

// The cost of a scrape with 200 and 1,000 containers: its duration over HTTP, and how long the event loop is blocked.
// Compares the current client library, @prometheus-io/client under the name prom-client, with the previous one,
// prom-client 15, each in a separate process. ROUNDS=40 scrapes of each kind by default.

const rounds = process.env['ROUNDS'] ?? '40'
const clients: Readonly<Record<string, string>> = {
  'prom-client-15': 'prom-client 15',
  'prom-client': '@prometheus-io/client',
}
const aims: Readonly<Record<number, number>> = { 200: 20, 1_000: 100 }
const run = promisify(execFile)
const rows: string[][] = []
for (const containers of [200, 1_000]) {
  for (const library of Object.keys(clients)) {
    const args = [join(import.meta.dirname, 'scrape-one.ts'), library, String(containers), rounds]
    const { stdout } = await run(process.execPath, args)
    for (const cost of JSON.parse(stdout) as ScrapeCost[]) rows.push(rowOf(containers, library, cost))
  }
}
process.stdout.write(
  renderTable(
    [
      'CONTAINERS',
      'CLIENT',
      'FORMAT',
      'SERIES',
      'KB',
      'MEDIAN',
      'P90',
      'LOOP BLOCKED',
      'WORST',
      'AIM',
      'BLOCK/AIM',
    ],
    rows,
  ),
)

function rowOf(containers: number, library: string, cost: ScrapeCost): string[] {
  const { format, series, bytes, cpu, median, p90, blocked, worst } = cost
  const aim = aims[containers] ?? 0
  const ms = [cpu, median, p90, blocked, worst].map((value) => `${value.toFixed(1)} ms`)
  const counts = [String(series), (bytes / 1_024).toFixed(0)]
  return [
    String(containers),
    clients[library] ?? '',
    format,
    ...counts,
    ...ms,
    `${aim} ms`,
    (blocked / aim).toFixed(2),
  ]
}
