import { configuration } from '../../agent/daemon/configuration.ts'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { currentConfig } from '../../agent/config/current.ts'
import { createDockerClient } from '../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../agent/sources/docker/client/endpoint.ts'
import { createSources } from '../../agent/daemon/sources.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { placesOf } from '../support/cgroups.ts'
import { docker } from '../support/processes.ts'

/** Milliseconds from the kernel's count of a kill to the observation that told of it, and who was first to tell. */
export type OomLatency = { ms: number; toldBy: 'kernel' | 'engine' }

/**
 * Has children of real containers killed for want of memory while all of the daemon's sources look, and those of
 * resources only once a minute: so that what tells is the kernel's notice (version 2) or the engine's event.
 */
export async function measureOomLatency(prefix: string, rounds: number): Promise<OomLatency[]> {
  const told = new Map<string, { at: number; by: OomLatency['toldBy'] }>()
  const sampled = new Set<string>()
  const sources = createSources({
    config: currentConfig(
      configuration.schema.parse({ sources: { resources: { interval: '1m', near_interval: '30s' } } }),
    ),
    client: createDockerClient(endpointOf({ env: process.env })),
    cursor: { load: () => null, save: () => undefined },
    now: Date.now,
  })
  const subscription = sources.observe().subscribe((seen) => {
    if (seen.kind === 'resources') {
      sampled.add(seen.container.id)
      if ((seen.memory.oomKills ?? 0) > 0) tell(seen.container.id, 'kernel')
    } else if (seen.kind === 'container' && seen.action === 'oom') tell(seen.container.id, 'engine')
  })

  function tell(id: string, by: OomLatency['toldBy']): void {
    if (!told.has(id)) told.set(id, { at: epochMs(), by })
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
      // Asked before: a line that nobody waits for is gone.
      const line = killed.next()
      await docker('exec', id, 'tail', '/dev/zero').catch(() => undefined)
      const killedAt = Number(await line)
      while (!told.has(id)) await sleep(20)
      const { at, by } = told.get(id) ?? { at: NaN, by: 'kernel' }
      return { ms: at - killedAt, toldBy: by }
    } finally {
      await docker('rm', '-f', id)
    }
  }

  const latencies: OomLatency[] = []
  for (let round = 0; round < rounds; round++) latencies.push(await measure(round))
  subscription.unsubscribe()
  return latencies
}

/** Tells when the kernel's counter moves, by another process that does nothing but look, each millisecond. */
async function counterWatch({ id, pid }: { id: string; pid: number }) {
  const { memory } = placesOf(id, pid)
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
