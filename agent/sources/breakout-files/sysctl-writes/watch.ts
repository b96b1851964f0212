import { closeSync, constants, openSync } from 'node:fs'
import { attachCgroupSysctl, loadProgram, programTypes } from '../../../linux/bpf.ts'
import { kernelBtf } from '../../../linux/kernel-btf.ts'
import { keptOpen, openCounters } from '../../../ebpf/open-resources.ts'
import { openRing } from '../../../ebpf/ring.ts'
import type { Hierarchy } from '../../../ebpf/cgroups.ts'
import { program } from '../../../ebpf/program.ts'
import { sysctlCounters, writeSysctlProgram } from './program.ts'
import { decodeSysctlWrite, type SysctlWrite } from './record.ts'

/** The program at work in the kernel. */
export type SysctlWatch = {
  /** Readable when something was written. */
  fd: number
  /** Hands over what was written since, in its order, for at most some milliseconds; true when there is more. */
  drain(onWrite: (write: SysctlWrite) => void): boolean
  /** How often one of the sysctls was read or written since the start, by anybody. */
  accesses(): number
  /** Writes of which the ring had no room to tell. */
  lost(): number
  /** Records that made no sense. */
  unreadable(): number
  close(): void
}

export type SysctlWatchOptions = {
  /** Where the cgroup hierarchy of version 2 is mounted. */
  cgroup2: string
  /** In which hierarchy containers have their cgroups. */
  hierarchy: Hierarchy
  names: readonly string[]
  /** A power of two; a write takes 10 KB. */
  ringBytes?: number
}

/** Attaches to the root of the cgroups, where all processes are, on a hybrid host too; throws where the kernel does not let us. */
export function openSysctlWatch(options: SysctlWatchOptions): SysctlWatch {
  const { cgroup2, hierarchy, names, ringBytes = 1 << 20 } = options
  const kept = keptOpen()

  try {
    const ring = openRing(ringBytes)
    kept.also(() => ring.close())
    const { fd: counters, count } = openCounters(kept)
    // An attached program cannot be changed, so the code is made for the names.
    const p = program(kernelBtf(), 1)
    writeSysctlProgram(p, { maps: { ring: ring.fd, counters }, hierarchy, names })
    const loaded = kept.fd(loadProgram(programTypes.cgroupSysctl, 'tidewatch_ctl', p.assemble()))
    const root = openSync(cgroup2, constants.O_RDONLY | constants.O_DIRECTORY)
    try {
      kept.fd(attachCgroupSysctl(root, loaded))
    } finally {
      closeSync(root)
    }
    let unreadable = 0
    return {
      fd: ring.fd,
      drain: (onWrite) =>
        ring.drain((bytes, offset, length) => {
          const write = decodeSysctlWrite(bytes, offset, length)
          if (write === null || write.index >= names.length) unreadable++
          else onWrite(write)
        }, sliceMs),
      accesses: () => count(sysctlCounters.accesses),
      lost: () => count(sysctlCounters.lost),
      unreadable: () => unreadable,
      close: kept.close,
    }
  } catch (error) {
    kept.close()
    throw error
  }
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 5
