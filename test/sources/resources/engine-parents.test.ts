import { existsSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { ControllerDirectory } from '../../../agent/sources/resources/cgroup-directories.ts'
import { mountsHere, cgroupDirectoriesOf } from '../../support/cgroups.ts'
import { docker } from '../../support/processes.ts'
import { firstSample, observe, runContainer } from './live.ts'

const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
const mib = 2 ** 20

test('limits of the parent cgroup apply to a container', async (t) => {
  const driver = (await docker('info', '-f', '{{.CgroupDriver}}')).trim()
  const parent = driver === 'systemd' ? `tidewatchtest${process.pid}.slice` : `/tidewatch-test-${process.pid}`
  // Version 1 does not allow a parent less than its child was given; version 2 gives a child only the controllers
  // that it asks for.
  const own = isV2 ? ['--memory=32m', '--cpus=0.5', '--pids-limit=20'] : []
  const web = await runContainer(t, 'nested', [`--cgroup-parent=${parent}`, ...own], 'sleep', '600')
  t.teardown(async () => {
    await docker('rm', '-f', web.id).catch(() => undefined)
    if (driver !== 'systemd') removeEverywhere(parent)
  })
  const { memory, cpu, pids } = cgroupDirectoriesOf(web.id, web.details?.pid ?? 0)
  setAbove(pids, 'pids.max', '15')
  if (cpu?.version === 2) setAbove(cpu, 'cpu.max', '20000 100000')
  else setAbove(cpu, 'cpu.cfs_quota_us', '20000')
  setAbove(memory, memory?.version === 2 ? 'memory.max' : 'memory.limit_in_bytes', String(16 * mib))

  const sample = await firstSample(observe(t, [web]))
  t.is(sample.pids.limit, 15)
  t.is(sample.cpu.quotaCores, 0.2)
  t.is(sample.memory.limitBytes, 16 * mib)
})

function setAbove(controller: ControllerDirectory | null, file: string, text: string): void {
  if (controller === null) throw new Error(`no controller for ${file}`)
  writeFileSync(join(dirname(controller.directory), file), text)
}

/** The engine creates the cgroup in every hierarchy and does not remove it. */
function removeEverywhere(cgroup: string): void {
  const { v1, v2 } = mountsHere()
  for (const mount of [...v1.values(), v2]) {
    try {
      if (mount !== null) rmdirSync(join(mount.mountPoint, cgroup))
    } catch {
      // One hierarchy may hold several controllers.
    }
  }
}
