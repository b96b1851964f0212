import { readFileSync } from 'node:fs'
import type { HostUsers } from '../../../linux/host-users.ts'
import type { ProcessKey } from '../../../model/process-key.ts'
import { readStat } from '../table/procfs-process.ts'

/** What is needed to resolve the user names of processes. */
export type Naming = { procRoot: string; users: HostUsers }

/**
 * The user who logged in (/proc/PID/loginuid), unaffected by later uid changes; empty without a login or after exit.
 */
export function loginUserOf({ pid, startTicks }: ProcessKey, { procRoot, users }: Naming): string {
  try {
    const loginUid = Number(readFileSync(`${procRoot}/${pid}/loginuid`, 'latin1'))
    const isSame = readStat(procRoot, pid)?.startTicks === startTicks
    return isSame && loginUid !== noLoginUid ? users.nameOf(loginUid) : ''
  } catch {
    // It has exited, or the kernel does not record it (CONFIG_AUDIT).
    return ''
  }
}

// AUDIT_UID_UNSET of linux/audit.h.
const noLoginUid = 2 ** 32 - 1
