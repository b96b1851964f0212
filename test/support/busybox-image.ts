import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, copyFile, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const image = 'tidewatch-test-busybox:latest'

// The applets that tests run by name; others are available as `busybox <applet>`.
const applets = (
  'sh ash cat chmod chown cp cut date dd echo env false find grep head id kill ln ls mkdir mount mv nc nice ' +
  'ps pwd rm sed seq setsid sleep stat su sync tail tee test timeout touch tr true umount uname unshare ' +
  'usleep wc wget which whoami yes'
).split(' ')

/** Creates the image for tests with a real engine. It only contains busybox, so that no registry is needed. */
export async function busyboxImage(): Promise<string> {
  if (await exists()) return image
  const root = await mkdtemp(join(tmpdir(), 'tidewatch-busybox-'))
  const archive = `${root}.tar`
  try {
    for (const folder of ['bin', 'dev', 'etc', 'proc', 'sys', 'root', 'tmp']) await mkdir(join(root, folder))
    await copyFile('/bin/busybox', join(root, 'bin/busybox'))
    for (const applet of applets) await symlink('busybox', join(root, 'bin', applet))
    await run('tar', ['--owner=0', '--group=0', '-C', root, '-cf', archive, '.'])
    await run('flock', [lock, 'sh', '-c', importUnlessThere, 'sh', image, archive])
  } finally {
    await rm(root, { recursive: true, force: true })
    await rm(archive, { force: true })
  }
  return image
}

// Test files run in parallel processes; the lock prevents a duplicate import.
const lock = join(tmpdir(), 'tidewatch-test-busybox.lock')
const importUnlessThere = `docker image inspect "$1" || docker import --change 'CMD ["/bin/sh"]' "$2" "$1"`

async function exists(): Promise<boolean> {
  return await run('docker', ['image', 'inspect', image]).then(
    () => true,
    () => false,
  )
}
