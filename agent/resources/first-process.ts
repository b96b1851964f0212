import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FirstProcess } from '../model/observation.ts'
import { isVanished } from './kept-files.ts'

/**
 * Whether a container's first process still runs, or was killed and has yet to end: on a busy host that takes seconds,
 * in which it still counts as a process. Null where it cannot be told, as of one whose leading thread has ended.
 */
export function readFirstProcess(procRoot: string, pid: number, containerId: string): FirstProcess | null {
  try {
    const read = (name: string) => readFileSync(join(procRoot, String(pid), name), 'latin1')
    // The pid may be another process's by now.
    if (!read('cgroup').includes(containerId)) return null
    return firstProcessOf(read('stat'), read('status'))
  } catch (error) {
    if (isVanished(error)) return null
    throw error
  }
}

/** Reads /proc/PID/stat and /proc/PID/status. */
export function firstProcessOf(stat: string, status: string): FirstProcess | null {
  // Fields 3, 4, … of proc_pid_stat(5): the first is the state, the ninth field of all is the flags.
  const [state = '', , , , , , flags] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  if (/^[ZX]$/.test(state)) return null
  const isEnding = (Number(flags) & (PF_EXITING | PF_SIGNALED)) !== 0
  const pending = [...status.matchAll(/^(?:SigPnd|ShdPnd):\t([0-9a-f]{16})$/gm)]
  if (pending.length !== 2 || !/^\d+$/.test(flags ?? '')) return null
  const isKilled = pending.some(([, signals]) => (BigInt(`0x${signals}`) & SIGKILL_BIT) !== 0n)
  return isEnding || isKilled ? 'ending' : 'running'
}

// linux/sched.h
const PF_EXITING = 0x4
const PF_SIGNALED = 0x400
// Signal 9, counted from 1.
const SIGKILL_BIT = 1n << 8n
