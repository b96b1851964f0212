import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { busyboxImage } from './busybox-image.ts'
import { run } from './processes.ts'

const execute = promisify(execFile)

/** Runs the docker command; a non-zero exit code is a result, not an error. */
export async function docker(
  ...args: string[]
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  try {
    return { exitCode: 0, ...(await execute('docker', args)) }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { exitCode: code, stdout, stderr }
  }
}

/** Removes the containers with this name prefix and their volumes; fails if one cannot be removed. */
export async function removeContainers(prefix: string): Promise<void> {
  const left = (await run('docker', 'ps', '-aq', '--filter', `name=^${prefix}`)).split('\n').filter(Boolean)
  if (left.length > 0) await run('docker', 'rm', '--force', '--volumes', ...left)
}

/** Starts a sleeping busybox container, and removes it after the test; resolves to its name and ID. */
export async function runContainer(
  t: ExecutionContext,
  options: readonly string[] = [],
  command: readonly string[] = ['sleep', '600'],
): Promise<{ name: string; id: string }> {
  const name = `tidewatch-test-docker-${randomBytes(5).toString('hex')}`
  t.teardown(() => docker('rm', '--force', name))
  const image = await busyboxImage()
  const named = ['--detach', '--network=none', '--name', name]
  const { exitCode, stdout, stderr } = await docker('run', ...named, ...options, image, ...command)
  if (exitCode !== 0) throw new Error(stderr)
  return { name, id: stdout.trim() }
}
