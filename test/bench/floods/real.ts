import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Finding } from '../../../agent/model/finding.ts'
import { busyboxImage } from '../../support/busybox-image.ts'
import { engineApi, execByApi } from '../../support/engine-api.ts'
import { removeContainers } from '../../support/docker.ts'
import { docker } from '../../support/processes.ts'
import { rightsImage } from '../../support/rights-image.ts'
import { until } from '../../support/until.ts'
import { type Bundle, type Bundled, startBundled } from '../bundled.ts'
import { type Flood, measured } from './measured.ts'

/** The name prefix of the containers of a run. */
export const prefix = `tidewatch-bench-floods-${process.pid}`

const parallel = 8

/** As many execs as the host's engine can run in the given time. */
export function realExecs(bundle: Bundle, seconds: number): Promise<Flood> {
  return withDaemon(bundle, async (daemon) => {
    const name = await sleeping('execs')
    await sleep(1_000)
    return await measured(daemon, 'containers', async () => {
      const operations = await execsFor(name, seconds)
      return {
        name: `execs, ${parallel} at a time, ${seconds} s`,
        sent: null,
        operations,
        findings: () => execsFound(daemon),
      }
    })
  })
}

/** Runs execs in a container for some seconds; resolves to their number. */
export async function execsFor(name: string, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1_000
  let count = 0
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      for (; performance.now() < end; count += 1) await execByApi(name, ['true', String(count)])
    }),
  )
  return count
}

/** A few containers with a label that is too long for a command line, and execs in each of them. */
export function realLabels(bundle: Bundle, bytes: number, count: number): Promise<Flood> {
  return withDaemon(bundle, (daemon) =>
    measured(daemon, 'containers', async () => {
      const image = await busyboxImage()
      for (let n = 0; n < count; n += 1) {
        const [name, labels] = [`${prefix}-label-${n}`, { note: 'x'.repeat(bytes) }]
        const body = { Image: image, Cmd: ['sleep', '86400'], Labels: labels, NetworkDisabled: true }
        await engineApi('POST', `/containers/create?name=${name}`, body)
        await engineApi('POST', `/containers/${name}/start`)
        for (let each = 0; each < 5; each += 1) await execByApi(name, ['true', String(each)])
      }
      const name = `${count} containers, a label of ${bytes / 2 ** 20} MiB each`
      return { name, sent: null, operations: count * 5, findings: () => execsFound(daemon) }
    }),
  )
}

/** Endless processes in one container, and operations in another one that must still be detected. */
export async function processFlood(bundle: Bundle, operations: number): Promise<Flood> {
  const image = await rightsImage(`${prefix}-rights:1`)
  try {
    return await withDaemon(bundle, async (daemon) => {
      const [noisy, quiet] = [
        await sleeping('noisy'),
        await sleeping('quiet', `${prefix}-rights:1`, '--user=1000'),
      ]
      await sleep(1_000)
      return await measured(daemon, 'processes', async () => {
        await docker('exec', '--user=0', quiet, 'sh', '-c', 'cp /bin/plain /tmp/p && chmod 4755 /tmp/p')
        const loop = (body: string) => `(while :; do ${body.repeat(4)} done) &`
        const loops = `for j in 1 2; do ${loop('(:);')} ${loop('/bin/true;')} done; wait`
        const flood = docker('exec', noisy, 'sh', '-c', loops).catch(() => undefined)
        await sleep(2_000)
        const [forks, startMs] = [forksOfHost(), performance.now()]
        for (let n = 0; n < operations; n += 1) {
          await execByApi(quiet, ['sh', '-c', `exit 0 # ${n}`], { AttachStdin: true })
          await execByApi(quiet, ['/tmp/p', 'as-root', '/bin/sh', '-c', `exit 0 # ${n}`])
        }
        const perSecond = ((forksOfHost() - forks) / (performance.now() - startMs)) * 1_000
        const found = () => daemon.findings().filter(({ container }) => container?.name === quiet)
        const shells = () => found().filter(({ rule }) => rule === 'interactive-shell')
        const roots = () => found().filter(({ rule }) => rule === 'privilege-escalation')
        await until(() => shells().length >= operations && roots().length >= operations, 20_000).catch(
          () => undefined,
        )
        const notes =
          `${perSecond.toFixed(0)} processes/s at the same time; shell: ${latencies(shells(), operations)}; ` +
          `setuid root: ${latencies(roots(), operations)}`
        await docker('kill', noisy)
        await flood
        return {
          name: 'endless processes in one container',
          sent: null,
          operations: 2 * operations,
          findings: () => shells().length + roots().length,
          notes,
        }
      })
    })
  } finally {
    await image.remove().catch(() => undefined)
  }
}

/** Only of the benchmark's containers: the daemon also detects execs in others. */
function execsFound(daemon: Bundled): number {
  return daemon
    .findings()
    .filter(
      ({ detector, container }) => detector === 'exec-into-container' && container?.name.startsWith(prefix),
    ).length
}

function latencies(findings: readonly Finding[], expected: number): string {
  const ms = findings
    .map(({ time, detected_at }) => Date.parse(detected_at) - Date.parse(time))
    .toSorted((a, b) => a - b)
  return `${ms.length} of ${expected}, ${ms[Math.floor(ms.length / 2)]} ms, slowest ${ms.at(-1)} ms`
}

/** The number of forks of the host since boot. */
export function forksOfHost(): number {
  return Number(/^processes (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1])
}

/** Starts an idle container; resolves to its name. */
export async function sleeping(what: string, image?: string, ...options: string[]): Promise<string> {
  const name = `${prefix}-${what}`
  const of = image ?? (await busyboxImage())
  await docker('run', '-d', '--name', name, '--network=none', ...options, of, 'sleep', '86400')
  return name
}

/** Removes all containers of a flood. */
export const removeWhatIsLeft = (): Promise<void> => removeContainers(prefix)

async function withDaemon(bundle: Bundle, work: (daemon: Bundled) => Promise<Flood>): Promise<Flood> {
  // Without folding: folded findings would be counted, but have no times.
  const daemon = await startBundled(bundle, { config: { policy: { throttle: unthrottled } } })
  try {
    return await work(daemon)
  } finally {
    await daemon.stop()
    await removeWhatIsLeft()
  }
}

const unthrottled = { fold: '0s', per_container: 1_000_000, per_rule: 1_000_000 }
