import { readFileSync } from 'node:fs'
import type { HostUsers } from '../../../linux/host-users.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import { readStat } from '../table/procfs-process.ts'

/** Where the names of processes' users come from. */
export type Naming = { procRoot: string; users: HostUsers }

/** Who logged in, whatever became of the user since (/proc/PID/loginuid); empty where nobody did or it has ended. */
export function loginUserOf({ pid, startTicks }: ProcessKey, { procRoot, users }: Naming): string {
  try {
    const loginUid = Number(readFileSync(`${procRoot}/${pid}/loginuid`, 'latin1'))
    const isSame = readStat(procRoot, pid)?.startTicks === startTicks
    return isSame && loginUid !== nobodyLoggedIn ? users.nameOf(loginUid) : ''
  } catch {
    // It has ended, or the kernel does not keep it (CONFIG_AUDIT).
    return ''
  }
}

// AUDIT_UID_UNSET of linux/audit.h.
const nobodyLoggedIn = 2 ** 32 - 1
