import { closeSync, constants, openSync } from 'node:fs'
import { attachCgroupSysctl, loadProgram, programTypes } from '../../../linux/bpf.ts'
import { kernelBtf } from '../../../linux/btf/kernel-btf.ts'
import { openCounters } from '../../../ebpf/counters.ts'
import { openRing } from '../../../ebpf/ring.ts'
import type { Hierarchy } from '../../../ebpf/cgroups.ts'
import { program } from '../../../ebpf/program.ts'
import { sysctlCounters, writeSysctlProgram } from './program.ts'
import { decodeSysctlWrite, type SysctlWrite } from './record.ts'

/** The program attached to the kernel. */
export type SysctlWatch = {
  /** Readable when records are available. */
  fd: number
  /** Delivers the pending writes in order, for at most some milliseconds; true when more remain. */
  drain(onWrite: (write: SysctlWrite) => void): boolean
  /** How often any process has read or written one of the sysctls since the start. */
  accesses(): number
  /** Writes that were not reported because the ring was full. */
  lost(): number
  /** Malformed records. */
  unreadable(): number
  close(): void
}

export type SysctlWatchOptions = {
  /** Mount point of the cgroup v2 hierarchy. */
  cgroup2: string
  /** The hierarchy in which containers have their cgroups. */
  hierarchy: Hierarchy
  names: readonly string[]
  /** A power of two; a write takes 10 KB. */
  ringBytes?: number
}

/** Attaches to the root cgroup, which contains all processes, also on a hybrid host; throws if the kernel refuses. */
export function openSysctlWatch(options: SysctlWatchOptions): SysctlWatch {
  const { cgroup2, hierarchy, names, ringBytes = 1 << 20 } = options
  using opening = new DisposableStack()
  const closeLater = (fd: number) => opening.adopt(fd, closeSync)
  const ring = opening.adopt(openRing(ringBytes), (one) => one.close())
  const { fd: counters, count } = openCounters(opening)
  // An attached program cannot be changed, so the names are compiled in.
  const p = program(kernelBtf(), 1)
  writeSysctlProgram(p, { maps: { ring: ring.fd, counters }, hierarchy, names })
  const loaded = closeLater(loadProgram(programTypes.cgroupSysctl, 'tidewatch_ctl', p.assemble()))
  const root = openSync(cgroup2, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    closeLater(attachCgroupSysctl(root, loaded))
  } finally {
    closeSync(root)
  }
  const resources = opening.move()
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
    close: () => resources.dispose(),
  }
}

// The daemon's other work shares the event loop.
const sliceMs = 5
