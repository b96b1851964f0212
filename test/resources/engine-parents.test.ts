import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { Container } from '../../agent/model/container.ts'
import { parseCgroupMounts } from '../../agent/resources/cgroup-mounts.ts'
import { hostMounts, locateCgroup, type Place } from '../../agent/resources/cgroup-places.ts'
import { docker } from '../support/processes.ts'
import { firstSample, kernel, observe, runContainer } from './live.ts'

const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
const mib = 2 ** 20
const mounts = hostMounts(
  parseCgroupMounts(readFileSync('/proc/self/mountinfo', 'latin1'), kernel.cgroupRoot),
)

test('limits of the cgroup that a container is put into bind it', async (t) => {
  const driver = (await docker('info', '-f', '{{.CgroupDriver}}')).trim()
  const parent = driver === 'systemd' ? `tidewatchtest${process.pid}.slice` : `/tidewatch-test-${process.pid}`
  // Version 1 lets no parent have less than its child was given, version 2 gives it no controllers that it does not ask for.
  const own = isV2 ? ['--memory=32m', '--cpus=0.5', '--pids-limit=20'] : []
  const web = await runContainer(t, 'nested', [`--cgroup-parent=${parent}`, ...own], 'sleep', '600')
  const { memory, cpu, pids } = placesOf(web)
  t.teardown(async () => {
    await docker('rm', '-f', web.id).catch(() => undefined)
    if (driver !== 'systemd') removeEverywhere(parent)
  })
  const set = (place: Place | null, file: string, text: string) =>
    writeFileSync(join(above(place), file), text)
  set(pids, 'pids.max', '15')
  if (cpu?.version === 2) set(cpu, 'cpu.max', '20000 100000')
  else set(cpu, 'cpu.cfs_quota_us', '20000')
  set(memory, memory?.version === 2 ? 'memory.max' : 'memory.limit_in_bytes', String(16 * mib))

  const sample = await firstSample(observe(t, [web]))
  t.is(sample.pids.limit, 15)
  t.is(sample.cpu.quotaCores, 0.2)
  t.is(sample.memory.limitBytes, 16 * mib)
})

function placesOf({ id, details }: Container) {
  const memberships = readFileSync(`/proc/${details?.pid ?? 0}/cgroup`, 'latin1')
  const places = locateCgroup(mounts, memberships, id)
  if (places === null) throw new Error(`${id} is in no cgroup of its own`)
  return places
}

function above(place: Place | null): string {
  if (place === null) throw new Error('a controller is missing')
  return dirname(place.directory)
}

/** The engine makes it in every hierarchy and leaves it behind. */
function removeEverywhere(cgroup: string): void {
  for (const mount of [...mounts.v1.values(), mounts.v2]) {
    try {
      if (mount !== null) rmdirSync(join(mount.mountPoint, cgroup))
    } catch {
      // One hierarchy holds several controllers.
    }
  }
}
