import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { busyboxImage } from './busybox-image.ts'
import { type EngineApi, engineApiOf } from './engine-api.ts'
import { run, type Running, start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** A separate Docker Engine that the test may stop and start; the host's engine and its network are not affected. */
export type PrivateEngine = {
  /** For `--docker.host`. */
  host: string
  /** Its network namespace: `nsenter --net=` this. */
  network: string
  docker: (...args: string[]) => Promise<string>
  api: EngineApi
  start: () => Promise<void>
  /** Stops the engine with its containers and waits for its exit. */
  stop: (signal?: NodeJS.Signals) => Promise<void>
  remove: () => Promise<void>
}

/**
 * Starts an engine with its own directories and network namespace; otherwise it would delete the bridge of a running
 * engine. `options` are further options of dockerd.
 */
export async function privateEngine(options: readonly string[] = []): Promise<PrivateEngine> {
  await using opening = new AsyncDisposableStack()
  const removeLater = (step: () => Promise<unknown>) => opening.defer(async () => void (await step()))
  const directory = await temporaryDirectory()
  removeLater(() => rm(directory, { recursive: true, force: true }))
  // A killed engine leaves the bind mount of its directory.
  removeLater(() => run('umount', '--recursive', '--lazy', `${directory}/data`).catch(() => undefined))
  const namespace = `tidewatch-test-${process.pid}`
  const host = `unix://${directory}/docker.sock`
  const docker = (...args: string[]) => run('docker', '-H', host, ...args)
  const network = `/run/netns/${namespace}`
  await run('ip', 'netns', 'add', namespace)
  removeLater(() => run('ip', 'netns', 'delete', namespace))
  await run('ip', '-n', namespace, 'link', 'set', 'lo', 'up')
  // As on a real host, containerd survives when the engine is killed.
  const containerdSocket = join(directory, 'containerd.sock')
  const containerd = start('containerd', [
    ...['--address', containerdSocket, '--root', `${directory}/containerd`, '--state', `${directory}/run`],
  ])
  removeLater(() => containerd.stop())
  let engine: Running | undefined
  removeLater(() => stopEngine())

  async function startEngine(): Promise<void> {
    // `ip netns exec` would mount another /sys over the cgroups.
    engine = start('nsenter', [
      ...[`--net=${network}`, 'dockerd'],
      `--host=${host}`,
      `--containerd=${containerdSocket}`,
      `--data-root=${directory}/data`,
      `--exec-root=${directory}/exec`,
      `--pidfile=${directory}/pid`,
      ...['--bridge=none', '--iptables=false', '--ip-masq=false', ...options],
    ])
    await whenReady(engine, () => docker('version'), 30_000)
  }

  async function stopEngine(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await engine?.stop(signal)
    engine = undefined
  }

  async function removeContainers(): Promise<void> {
    if (engine === undefined) await startEngine()
    const left = (await docker('ps', '-aq')).split('\n').filter(Boolean)
    if (left.length > 0) await docker('rm', '-f', ...left)
  }

  await startEngine()
  removeLater(removeContainers)
  const image = await busyboxImage()
  const archive = join(directory, 'image.tar')
  await run('docker', 'save', '-o', archive, image)
  await docker('load', '-i', archive)
  const resources = opening.move()
  return {
    host,
    network,
    docker,
    api: engineApiOf(`${directory}/docker.sock`),
    start: startEngine,
    stop: stopEngine,
    remove: () => resources.disposeAsync(),
  }
}
