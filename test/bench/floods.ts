import { loadavg } from 'node:os'
import { renderTable } from '../../agent/cli/table.ts'
import { makeBundle } from './bundled.ts'
import { containerLives, execBurst, largeLabel, largeLabels, steadyStream } from './floods/fake.ts'
import type { Flood } from './floods/measured.ts'
import { processFlood, realExecs, realLabels, removeWhatIsLeft } from './floods/real.ts'
import { speeds } from './floods/speed.ts'

// Floods the installed daemon like an attacker or a broken script. Measures its memory, how long the event loop is
// blocked, whether dropped events are counted, whether the operations of others are still detected, and the speed of
// the engine without and with the daemon. If the engine of this host is too slow, a fake one writes the events.
// ONLY=name runs the floods whose name contains it; SCALE=0.1 runs a tenth of each; ROUNDS=5 for the speeds.

const scale = Number(process.env['SCALE'] ?? 1)
const rounds = Number(process.env['ROUNDS'] ?? 5)
const only = process.env['ONLY'] ?? ''
const times = (count: number) => Math.ceil(count * scale)
const MiB = 2 ** 20

const bundle = await makeBundle()
const floods: Record<string, () => Promise<Flood>> = {
  'real-execs': () => realExecs(bundle, times(60)),
  'fake-execs': () => execBurst(bundle, times(10_000)),
  'fake-lives': () => containerLives(bundle, times(5_000)),
  processes: () => processFlood(bundle, times(20)),
  'real-label': () => realLabels(bundle, MiB, times(20)),
  'fake-label': () => largeLabel(bundle, MiB, times(300)),
  'fake-labels': () => largeLabels(bundle, MiB, times(500)),
  stream: () => steadyStream(bundle, 100e6 * scale, times(60)),
  // More than fits in the queues.
  'fake-bytes': () => steadyStream(bundle, 500e6 * scale, 0),
}
try {
  const rows: Flood[] = []
  for (const [name, flood] of Object.entries(floods)) if (name.includes(only)) rows.push(await flood())
  if (rows.length > 0) printFloods(rows)
  if ('speed'.includes(only)) printSpeeds(await speeds(bundle, rounds, Math.max(2, times(6))))
} finally {
  await removeWhatIsLeft()
  await bundle.remove()
}

function printFloods(rows: readonly Flood[]): void {
  process.stdout.write(
    renderTable(
      [
        'FLOOD',
        'SENT',
        'SEEN',
        'DROPPED',
        'UNCOUNTED',
        'OPERATIONS',
        'FINDINGS',
        'PEAK MiB',
        'LOOP STOOD ms',
        'ITS CPU ms',
      ],
      rows.map(({ name, sent, seen, dropped, operations, findings, peakMiB, blockedMs, busyMs }) =>
        [
          ...[name, sent ?? 'real', seen, dropped, sent === null ? '' : sent - seen - dropped],
          ...[operations, findings, peakMiB.toFixed(0), blockedMs.toFixed(0), busyMs.toFixed(0)],
        ].map(String),
      ),
    ),
  )
  for (const { name, notes } of rows) if (notes !== '') process.stdout.write(`\n${name}: ${notes}\n`)
  process.stdout.write(
    `\nload of the host ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}\n\n`,
  )
  if (rows.some(({ sent, seen, dropped }) => sent !== null && sent !== seen + dropped)) process.exitCode = 1
}

function printSpeeds(rows: readonly Awaited<ReturnType<typeof speeds>>[number][]): void {
  process.stdout.write(
    renderTable(
      ['PER SECOND', 'WITHOUT', 'WITH', 'RATIO'],
      rows.map((row) => [row.name, row.without.toFixed(1), row.with.toFixed(1), row.ratio.toFixed(3)]),
    ),
  )
}
