import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { renderTable } from '../../agent/cli/table.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { type Daemon, removeState, startDaemon } from '../support/daemon.ts'
import { docker, start } from '../support/processes.ts'
import { until } from '../support/until.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { receivePosts } from './posts.ts'

// Kills the daemon at random moments while commands run in a container and a runtime file is written to. Every exec
// that the engine reported must be exactly one finding, stored and delivered. KILLS=200 by default.

const kills = Number(process.env['KILLS'] ?? 200)
const container = `tidewatch-bench-crash-${process.pid}`

/** The delivered findings by exec. */
const arrived = new Map<string, Set<string>>()
const server = await receivePosts((body) => {
  const { id, evidence, container: one, detector } = body as Finding
  const execId = evidence['exec_id'] as string
  if (one?.name === container && detector === 'exec-into-container')
    arrived.set(execId, (arrived.get(execId) ?? new Set()).add(id))
})

const directory = await temporaryDirectory()
const decoy = join(directory, 'runc')
await writeFile(decoy, 'original')
const config = {
  // An alert replaces its earlier one, but a webhook gets each finding.
  webhooks: [{ url: server.url, min_severity: 'info' }],
  sources: { runtime_files: { paths: [decoy] } },
}
const reported = new Set<string>()
const events = start('docker', ['events', '--format', '{{json .}}', '--filter', 'event=exec_start'])
createInterface({ input: events.process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
  const id = /"execID":"([0-9a-f]{64})"/.exec(line)?.[1]
  if (id !== undefined && line.includes(container)) reported.add(id)
})

let daemon: Daemon = await startDaemon({ config })
const over = new AbortController()
try {
  await docker('run', '-d', '--network=none', '--name', container, await busyboxImage(), 'sleep', '86400')
  const load = Promise.all([execs(), execs(), writes()])
  for (let n = 0; n < kills; n += 1) {
    await sleep(Math.random() * 2_000)
    await daemon.stop('SIGKILL')
    daemon = await startDaemon({ config, stateDirectory: daemon.stateDirectory })
  }
  over.abort()
  const written = await load
  const stored = () => daemon.findings({ container, detector: 'exec-into-container' })
  await until(() => stored().length >= reported.size && arrived.size >= reported.size, 60_000).catch(
    () => undefined,
  )
  await sleep(3_000)

  const findings = new Map<string, number>()
  for (const { evidence } of stored()) {
    const id = evidence['exec_id'] as string
    findings.set(id, (findings.get(id) ?? 0) + 1)
  }
  const ids = [...reported]
  const lost = ids.filter((id) => !findings.has(id)).length
  const twice = [...findings.values()].filter((count) => count > 1).length
  const undelivered = ids.filter((id) => !arrived.has(id)).length
  const deliveredTwice = [...arrived.values()].filter((all) => all.size > 1).length
  const gaps = await daemon.metric('tidewatch_docker_event_gaps_total')
  process.stdout.write(
    renderTable(
      ['KILLS', 'EXECS', 'WRITES', 'NOT STORED', 'STORED TWICE', 'NOT DELIVERED', 'DELIVERED AS TWO', 'GAPS'],
      [[kills, reported.size, written[2], lost, twice, undelivered, deliveredTwice, gaps ?? NaN].map(String)],
    ),
  )
  if (lost + twice + undelivered + deliveredTwice > 0) process.exitCode = 1
} finally {
  over.abort()
  await docker('rm', '-f', container).catch(() => undefined)
  await events.stop()
  await daemon.stop()
  await removeState(daemon)
  await rm(directory, { recursive: true, force: true })
  server.close()
}

async function execs(): Promise<number> {
  let count = 0
  for (; !over.signal.aborted; count += 1)
    await docker('exec', container, 'true', String(count)).catch(() => undefined)
  return count
}

async function writes(): Promise<number> {
  let count = 0
  for (; !over.signal.aborted; count += 1) {
    await writeFile(decoy, `content ${count}`)
    await sleep(100)
  }
  return count
}
