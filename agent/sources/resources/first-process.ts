import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FirstProcess } from '../../model/observation.ts'
import { isVanished } from './open-file-cache.ts'

/**
 * Whether a container's first process is still running, or was killed and has not exited yet: on a busy host that
 * takes seconds, during which it still counts as a process. Null when that is unknown, for example when its leading
 * thread has exited.
 */
export function readFirstProcess(procRoot: string, pid: number, containerId: string): FirstProcess | null {
  try {
    const read = (name: string) => readFileSync(join(procRoot, String(pid), name), 'latin1')
    // The pid may have been reused.
    if (!read('cgroup').includes(containerId)) return null
    // A pending signal that is delivered between the two reads shows in the second one.
    const status = read('status')
    return firstProcessOf(read('stat'), status)
  } catch (error) {
    if (isVanished(error)) return null
    throw error
  }
}

/** Reads /proc/PID/stat and /proc/PID/status. */
export function firstProcessOf(stat: string, status: string): FirstProcess | null {
  // Fields 3, 4, … of proc_pid_stat(5): the first is the state, the ninth field of all is the flags.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [state = '', , , , , , flags] = fields
  if (/^[ZX]$/.test(state)) return null
  // Field 52: newer kernels set it as soon as the signal is sent (do_task_stat() of fs/proc/array.c).
  const exitSignal = Number(fields[49] ?? 0) & 0x7f
  const isEnding = (Number(flags) & (PF_EXITING | PF_SIGNALED)) !== 0 || exitSignal === SIGKILL
  const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\t([0-9a-f]{16})$/gm)]
  if (pending.length !== 2 || !/^\d+$/.test(flags ?? '')) return null
  const isKilled = pending.some(([, signals]) => (BigInt(`0x${signals}`) & SIGKILL_BIT) !== 0n)
  return isEnding || isKilled ? 'ending' : 'running'
}

// linux/sched.h
const PF_EXITING = 0x4
const PF_SIGNALED = 0x400
// Bit 0 is signal 1.
const SIGKILL = 9
const SIGKILL_BIT = 1n << 8n
