import { randomBytes } from 'node:crypto'
import { renderTable } from '../../agent/cli/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { removeState, startDaemon } from '../support/daemon.ts'
import { docker } from '../support/processes.ts'
import { until } from '../support/until.ts'

// The time from the engine's exec_start to `detected_at` of the finding, for sequential execs, compared with the
// duration of `docker exec … true`. Both use the host's clock. EXECS=200 by default.

// The median, the 95th and 99th percentile, and the maximum.
const shares = [0.5, 0.95, 0.99, 1]
const execs = Number(process.env['EXECS'] ?? 200)
const name = `tidewatch-bench-exec-${randomBytes(4).toString('hex')}`
const daemon = await startDaemon()
try {
  await docker('run', '-d', '--network=none', '--name', name, await busyboxImage(), 'sleep', '86400')
  const durations: number[] = []
  for (let n = 0; n < execs; n += 1) {
    const startMs = performance.now()
    await docker('exec', name, 'true', String(n))
    durations.push(performance.now() - startMs)
  }
  const found = () => daemon.findings({ container: name, detector: 'exec-into-container' })
  await until(() => found().filter(({ evidence }) => 'exit_code' in evidence).length >= execs, 60_000)
  const latencies = found().map(({ time, detected_at }) => Date.parse(detected_at) - Date.parse(time))
  const withCaller = found().filter(
    ({ evidence }) => (evidence['caller'] as { confidence?: string } | undefined)?.confidence === 'exact',
  )
  const rows = [
    ['docker exec … true', ...shares.map((share) => quantile(durations, share).toFixed(1)), '1.000'],
    [
      'exec_start to finding',
      ...shares.map((share) => quantile(latencies, share).toFixed(1)),
      (quantile(latencies, 0.5) / quantile(durations, 0.5)).toFixed(3),
    ],
  ]
  process.stdout.write(renderTable(['MS', 'P50', 'P95', 'P99', 'MAX', 'RATIO OF P50'], rows))
  process.stdout.write(
    `\n${found().length} findings of ${execs} execs, ${withCaller.length} with their exact caller\n`,
  )
  const slowest = found()
    .map(({ time, detected_at, evidence }) => ({ ms: Date.parse(detected_at) - Date.parse(time), evidence }))
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, 5)
  process.stdout.write(
    `slowest: ${slowest.map(({ ms, evidence }) => `${ms} ms (#${String((evidence['argv'] as string[])[1])})`).join(', ')}\n`,
  )
} finally {
  await docker('rm', '-f', name).catch(() => undefined)
  await daemon.stop()
  await removeState(daemon)
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? NaN
}
