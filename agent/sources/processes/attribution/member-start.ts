import { readFileSync } from 'node:fs'
import type { BootClock } from '../../../linux/boot-clock.ts'
import { readStat } from '../table/procfs-process.ts'
import { startTime } from '../table/describe.ts'
import { parseCgroupFile } from './cgroup.ts'

export type StartOfMemberOptions = { procRoot: string; clock: Pick<BootClock, 'epochOffset'> }

/**
 * Dates a process that another source found by its pid, in epoch milliseconds. Null unless it is running in this
 * container: the pid may have been reused, or be of another host.
 */
export function startOfMember({ procRoot, clock }: StartOfMemberOptions) {
  return (pid: number, containerId: string): number | null => {
    if (pid <= 0) return null
    try {
      const { ids } = parseCgroupFile(readFileSync(`${procRoot}/${pid}/cgroup`, 'latin1'))
      const stat = ids.includes(containerId) ? readStat(procRoot, pid) : null
      return stat === null || stat.ended ? null : startTime(stat, clock.epochOffset())
    } catch {
      return null
    }
  }
}
