import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Confinement, missingMasks, placesOf } from '../../../agent/sources/container-masks/judge.ts'
import { gatherMounts } from '../../../agent/sources/container-masks/mounts.ts'
import type { ContainerDetails } from '../../../agent/model/container.ts'
import { sampleDetails } from '../../support/samples.ts'

/** As Docker 20.10 configures a container that says nothing of it. */
export const defaultMasks: ContainerDetails = {
  ...sampleDetails,
  maskedPaths: [
    '/proc/asound',
    '/proc/acpi',
    '/proc/kcore',
    '/proc/keys',
    '/proc/latency_stats',
    '/proc/timer_list',
    '/proc/timer_stats',
    '/proc/sched_debug',
    '/proc/scsi',
    '/sys/firmware',
  ],
  readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
}

/** What the machine of the fixtures does not have; it has no /proc/sysrq-trigger either. */
export const absentThere: ReadonlySet<string> = new Set([
  '/proc/asound',
  '/proc/kcore',
  '/proc/latency_stats',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/sysrq-trigger',
])

/** A real container's mounts, as its kind was started; `edit` tampers with them. */
export function fixture(name: string, edit: (mountinfo: string) => string = (text) => text): string {
  return edit(readFileSync(join(import.meta.dirname, `../../fixtures/masks/${name}.mountinfo`), 'utf8'))
}

/** What is missing in a container with these mounts. */
export function missingIn(
  mountinfo: string,
  details: Partial<ContainerDetails> = {},
  seen: Partial<Omit<Confinement, 'mounts'>> = {},
) {
  const configured = { ...defaultMasks, ...details }
  const { add, seen: gathered } = gatherMounts(placesOf(configured))
  for (const line of mountinfo.split('\n')) add(line)
  const confinement = { mounts: gathered(), absent: absentThere, label: null, seccomp: 2, ...seen }
  return missingMasks(configured, confinement, { seccomp: true })
}
