import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { busyboxImage } from './busybox-image.ts'
import { docker, run } from './processes.ts'
import { programFiles } from './program-files.ts'
import { temporaryDirectory } from './temporary-directory.ts'
import { until } from './until.ts'

/** An engine inside a container. */
export type InnerEngine = {
  /** Runs the docker command inside the container, against the inner engine. */
  inner: (...args: string[]) => Promise<string>
  /** The busybox image in the inner engine. */
  image: string
}

/**
 * Builds an image with this host's engine, so that no registry is needed, and starts it as a container with this name.
 * The test removes the container with its volume and image.
 */
export async function dockerInDocker(name: string, image: string): Promise<InnerEngine> {
  const directory = await temporaryDirectory()
  try {
    const root = join(directory, 'root')
    for (const folder of ['dev', 'proc', 'sys', 'tmp', 'run', 'var/lib/docker', 'var/tmp', 'root'])
      await mkdir(join(root, folder), { recursive: true })
    await run('docker', 'save', '--output', join(root, 'busybox.tar'), await busyboxImage())
    for (const program of programs) {
      const { path, libraries } = await programFiles(program)
      await copyInto(root, path, `/usr/bin/${program}`)
      for (const library of libraries) await copyInto(root, library, library)
    }
    await copyInto(root, '/bin/busybox', '/bin/busybox')
    for (const applet of ['sh', 'mount', 'sleep', 'ps', 'true'])
      await run('ln', '-s', 'busybox', join(root, 'bin', applet))
    await writeFile(join(root, 'bin/engine'), entryPoint, { mode: 0o755 })
    const archive = join(directory, 'image.tar')
    await run('tar', '--owner=0', '--group=0', '-C', root, '-cf', archive, '.')
    await docker('import', '--change', 'ENTRYPOINT ["/bin/engine"]', archive, image)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
  const own = ['--network=none', '--volume', '/var/lib/docker', '--name', name]
  await docker('run', '-d', ...(await privileged()), ...own, image)
  const inner = (...args: string[]) => docker('exec', name, 'docker', ...args)
  await until(() => inner('version'), 60_000)
  await inner('load', '--input', '/busybox.tar')
  return { inner, image: await busyboxImage() }
}

/** Privileged, or as close to it as possible: this host may itself be a container that lacks a capability. */
async function privileged(): Promise<readonly string[]> {
  const status = await readFile('/proc/self/status', 'latin1')
  const bounds = BigInt(`0x${/^CapBnd:\s*(\w+)$/m.exec(status)?.[1]}`)
  if ((bounds & sysResource) !== 0n) return ['--privileged']
  const unconfined = ['seccomp', 'apparmor', 'systempaths'].flatMap((one) => [
    '--security-opt',
    `${one}=unconfined`,
  ])
  return ['--cap-add=ALL', '--cap-drop=SYS_RESOURCE', '--device-cgroup-rule=a *:* rwm', ...unconfined]
}

// Numbered as in linux/capability.h.
const sysResource = 1n << 24n

const programs = ['dockerd', 'containerd', 'containerd-shim-runc-v2', 'runc', 'docker', 'docker-init']

// Without a bridge, iptables is not needed.
const entryPoint = `#!/bin/sh
export PATH=/usr/bin:/bin
for one in /sys /sys/fs/cgroup /sys/fs/cgroup/*; do mount -o remount,bind,rw $one; done
exec dockerd --storage-driver=overlay2 --bridge=none --iptables=false --ip-masq=false
`

async function copyInto(root: string, path: string, to: string): Promise<void> {
  await mkdir(join(root, dirname(to)), { recursive: true })
  await copyFile(path, join(root, to))
}
