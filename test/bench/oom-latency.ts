import { configuration } from '../../agent/daemon/configuration.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { currentConfig } from '../../agent/config/current.ts'
import { createDockerClient } from '../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../agent/sources/docker/client/endpoint.ts'
import { dockerSources } from '../../agent/daemon/docker-sources.ts'
import { createSources } from '../../agent/daemon/sources.ts'
import { bootClock } from '../../agent/linux/boot-clock.ts'
import { processTable } from '../../agent/sources/processes/table/table.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { cgroupDirectoriesOf } from '../support/cgroups.ts'
import { docker } from '../support/processes.ts'

/** Milliseconds from the kernel's count of a kill to its first observation, and who reported it first. */
export type OomLatency = { ms: number; reportedBy: 'kernel' | 'engine' }

/**
 * Lets the OOM killer kill children of real containers while all sources run. The resources source only polls once a
 * minute, so that kills are reported by the kernel's notification (cgroup version 2) or the engine's event.
 */
export async function measureOomLatency(prefix: string, rounds: number): Promise<OomLatency[]> {
  const reports = new Map<string, { at: number; by: OomLatency['reportedBy'] }>()
  const sampled = new Set<string>()
  const sources = createSources({
    config: currentConfig(
      configuration.schema.parse({ sources: { resources: { interval: '1m', near_interval: '30s' } } }),
    ),
    docker: dockerSources({
      client: createDockerClient(endpointOf({ env: process.env })),
      cursor: { load: () => null, save: () => undefined },
      now: Date.now,
    }),
    table: processTable({ clock: bootClock() }),
    now: Date.now,
  })
  const subscription = sources.observe().subscribe((seen) => {
    if (seen.kind === 'resources') {
      sampled.add(seen.container.id)
      if ((seen.memory.oomKills ?? 0) > 0) report(seen.container.id, 'kernel')
    } else if (seen.kind === 'container' && seen.action === 'oom') report(seen.container.id, 'engine')
  })

  function report(id: string, by: OomLatency['reportedBy']): void {
    if (!reports.has(id)) reports.set(id, { at: epochMs(), by })
  }

  async function measure(round: number): Promise<OomLatency> {
    const name = `${prefix}-oom-${round}`
    const limits = ['--memory=16m', '--memory-swap=16m']
    const id = (
      await docker('run', '-d', '--name', name, ...limits, await busyboxImage(), 'sleep', '600')
    ).trim()
    try {
      const pid = Number(await docker('inspect', '-f', '{{.State.Pid}}', id))
      while (!sampled.has(id)) await sleep(20)
      const killed = await counterWatch({ id, pid })
      // Requested before the kill: a line without a waiting reader would be lost.
      const line = killed.next()
      await docker('exec', id, 'tail', '/dev/zero').catch(() => undefined)
      const killedAt = Number(await line)
      while (!reports.has(id)) await sleep(20)
      const { at, by } = reports.get(id) ?? { at: NaN, by: 'kernel' }
      return { ms: at - killedAt, reportedBy: by }
    } finally {
      await docker('rm', '-f', id)
    }
  }

  const latencies: OomLatency[] = []
  for (let round = 0; round < rounds; round++) latencies.push(await measure(round))
  subscription.unsubscribe()
  return latencies
}

/** Reports when the kernel's counter changes, with a separate process that only polls it every millisecond. */
async function counterWatch({ id, pid }: { id: string; pid: number }) {
  const { memory } = cgroupDirectoriesOf(id, pid)
  if (memory === null) throw new Error('this host does not count memory')
  const file = join(memory.directory, memory.version === 2 ? 'memory.events' : 'memory.oom_control')
  const script = `
    const { readFileSync } = require('node:fs')
    console.log('ready')
    const cell = new Int32Array(new SharedArrayBuffer(4))
    while (!/^oom_kill [1-9]/m.test(readFileSync(${JSON.stringify(file)}, 'latin1'))) Atomics.wait(cell, 0, 0, 1)
    console.log(performance.timeOrigin + performance.now())`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const next = async () => ((await once(lines, 'line')) as [string])[0]
  await next()
  return { next }
}

function epochMs(): number {
  return performance.timeOrigin + performance.now()
}
