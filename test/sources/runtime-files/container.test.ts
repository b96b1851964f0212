import test, { type ExecutionContext } from 'ava'
import { readFileSync } from 'node:fs'
import type { Container } from '../../../agent/model/container.ts'
import { busyboxImage } from '../../support/busybox-image.ts'
import { docker } from '../../support/processes.ts'
import { sampleContainer } from '../../support/samples.ts'
import { watchDecoy } from './decoy.ts'

/** The container a process is in, by its cgroup; named as the test names it. */
function containerOfPid(pid: number): Container | null {
  try {
    const id = /[0-9a-f]{64}/.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[0]
    return id === undefined ? null : sampleContainer({ id })
  } catch {
    return null
  }
}

/** Runs a script in a container that has the folder mounted and lives on until the test ends; resolves to its id. */
async function runIn(t: ExecutionContext, folder: string, script: string): Promise<string> {
  const name = `tidewatch-test-runtime-${process.pid}-${serial++}`
  t.teardown(() => docker('rm', '--force', '--volumes', name))
  const image = await busyboxImage()
  const mount = ['--volume', `${folder}:/runtime`]
  return (
    await docker('run', '--detach', '--name', name, ...mount, image, 'sh', '-c', `${script}; sleep 60`)
  ).trim()
}

let serial = 0

for (const [what, script] of [
  ['a write', 'echo evil > /runtime/runc'],
  ['a write through a held descriptor', 'exec 3>>/runtime/runc; echo evil >&3; exec 3>&-'],
  ['a write through a link of /proc', 'exec 3</runtime/runc; echo evil > /proc/self/fd/3'],
  ['a write through a hard link', 'ln /runtime/runc /runtime/other; echo evil > /runtime/other'],
] as const) {
  test(`${what} in a container that has the file mounted names the container`, async (t) => {
    const decoy = await watchDecoy(t, { containerOfPid })
    const id = await runIn(t, decoy.folder, script)
    const changes = await decoy.settled(1)
    t.is(changes.length, 1)
    t.like(changes[0], { change: 'written', path: decoy.path, writer: { uid: 0 }, container: { id } })
    // Its pid in the container is 1.
    t.true((changes[0]?.writer?.pid ?? 0) > 1)
  })
}

test('of a rename in a container by a program that is gone at once, the pid on the host is known', async (t) => {
  const decoy = await watchDecoy(t, { containerOfPid })
  await runIn(t, decoy.folder, 'echo evil > /runtime/new; mv /runtime/new /runtime/runc')
  const changes = await decoy.settled(1)
  t.is(changes.length, 1)
  t.like(changes[0], { change: 'replaced', path: decoy.path, after: { sizeBytes: 5 } })
  t.true((changes[0]?.writer?.pid ?? 0) > 2)
})
