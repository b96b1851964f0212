import test, { type ExecutionContext } from 'ava'
import { readFileSync } from 'node:fs'
import type { Container } from '../../../agent/model/container.ts'
import { busyboxImage } from '../../support/busybox-image.ts'
import { docker } from '../../support/processes.ts'
import { sampleContainer } from '../../support/samples.ts'
import { watchDecoy } from './decoy.ts'

/** The container of a process, by its cgroup, with the test's own name. */
function containerOfPid(pid: number): Container | null {
  try {
    const id = /[0-9a-f]{64}/.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[0]
    return id === undefined ? null : sampleContainer({ id })
  } catch {
    return null
  }
}

/**
 * Runs a script in a container that has the folder mounted and keeps running until the test ends; resolves to its id.
 */
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
  ['a write through an open descriptor', 'exec 3>>/runtime/runc; echo evil >&3; exec 3>&-'],
  ['a write through a link in /proc', 'exec 3</runtime/runc; echo evil > /proc/self/fd/3'],
  ['a write through a hard link', 'ln /runtime/runc /runtime/other; echo evil > /runtime/other'],
] as const) {
  test(`${what} in a container with the file mounted names that container`, async (t) => {
    const decoy = await watchDecoy(t, { containerOfPid })
    const id = await runIn(t, decoy.folder, script)
    const changes = await decoy.settled(1)
    t.is(changes.length, 1)
    t.like(changes[0], { change: 'written', path: decoy.path, writer: { uid: 0 }, container: { id } })
    // Its pid in the container is 1.
    t.true((changes[0]?.writer?.pid ?? 0) > 1)
  })
}

test('a rename in a container by a program that exits immediately is reported with its host pid', async (t) => {
  const decoy = await watchDecoy(t, { containerOfPid })
  await runIn(t, decoy.folder, 'echo evil > /runtime/new; mv /runtime/new /runtime/runc')
  const changes = await decoy.settled(1)
  t.is(changes.length, 1)
  t.like(changes[0], { change: 'replaced', path: decoy.path, after: { sizeBytes: 5 } })
  t.true((changes[0]?.writer?.pid ?? 0) > 2)
})
