import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Confinement, missingMasks, placesOf } from '../../../agent/sources/container-masks/judge.ts'
import { collectMounts } from '../../../agent/sources/container-masks/mounts.ts'
import type { ContainerDetails } from '../../../agent/model/container.ts'
import { sampleDetails } from '../../support/samples.ts'

/** The defaults of Docker 20.10. */
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

/** Paths that do not exist on the fixtures' machine; it has no /proc/sysrq-trigger either. */
export const absentThere: ReadonlySet<string> = new Set([
  '/proc/asound',
  '/proc/kcore',
  '/proc/latency_stats',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/sysrq-trigger',
])

/** The mounts of a real container, by how it was started; `edit` tampers with them. */
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
  const { add, seen: collected } = collectMounts(placesOf(configured))
  for (const line of mountinfo.split('\n')) add(line)
  const confinement = { mounts: collected(), absent: absentThere, label: null, seccomp: 2, ...seen }
  return missingMasks(configured, confinement, { seccomp: true })
}
