import { lstatSync, readFileSync } from 'node:fs'
import { errorCode, messageOf } from '../../lib/errors.ts'
import type { Container, ContainerDetails } from '../../model/container.ts'
import type { MaskState, MissingMask } from '../../model/observation.ts'
import { parseCgroupFile } from '../processes/attribution/cgroup.ts'
import { missingMasks, placesOf } from './judge.ts'
import { readMounts, type SeenMounts } from './mounts.ts'
import { type EngineFacts, isSandboxed } from './sandbox.ts'

/** Where the kernel shows itself. */
export type KernelPaths = { procRoot: string; sysRoot: string }

/** One run of a container, and what earlier looks at it told. */
export type Run = {
  id: string
  /** Epoch milliseconds. */
  startedAt: number
  /** Paths that had nothing to hide at the first look; null before it. */
  absent: ReadonlySet<string> | null
}

/** What came of a look. `unsettled`: the runtime has yet to become the container's program, so look again soon. */
export type Look =
  | { state: MaskState; pid: number; missing: readonly MissingMask[]; unsettled: boolean; refused: string }
  | { state: 'gone' }

/** Looks at a container's first process: what is mounted on what ought to be hidden, its label, its filter. */
export async function lookAtMasks(
  { id, details }: Container,
  run: Run,
  { facts, paths, now }: { facts: EngineFacts; paths: KernelPaths; now: () => number },
): Promise<Look> {
  if (details === null || details.pid === 0) return { state: 'gone' }
  const { pid } = details
  const told = (state: MaskState, rest: Partial<Extract<Look, { pid: number }>> = {}): Look => ({
    state,
    pid,
    missing: [],
    unsettled: false,
    refused: '',
    ...rest,
  })
  if (isSandboxed(details.runtime, facts)) return told('sandboxed')
  const directory = `${paths.procRoot}/${pid}`
  try {
    // The pid may be another's by now, or one of another host.
    if (!isIn(id, `${directory}/cgroup`)) return told('unknown', { refused: 'no process of this host' })
    const mounts = await readMounts(`${directory}/mountinfo`, placesOf(details))
    run.absent ??= absentPaths(details, mounts, { isLate: now() - run.startedAt > lateMs, paths })
    const isNew = now() - run.startedAt < settleMs
    const status = readFileSync(`${directory}/status`, 'latin1')
    const unsettled = isNew && isRuntimeInit(status)
    const seen = {
      mounts,
      absent: run.absent,
      label: unsettled ? null : readLabel(`${directory}/attr/current`),
      seccomp: unsettled ? null : seccompIn(status),
    }
    // It may have ended while it was looked at, and another got its pid.
    if (!isIn(id, `${directory}/cgroup`)) return { state: 'gone' }
    const missing = missingMasks(details, seen, facts)
    if (missing.length > 0) return told('missing', { missing, unsettled })
    return told(isUnmasked(details) ? 'unmasked' : 'intact', { unsettled })
  } catch (error) {
    if (isGone(error)) return { state: 'gone' }
    return told('unknown', { refused: messageOf(error) })
  }
}

// A container that was there before us may have got a mask that a kernel module was loaded for only later, or none.
const lateMs = 10_000
// For how long a first process may say that it is still the runtime's.
const settleMs = 10_000

/** /proc/PID/mountinfo of a process that only its parent's wait(2) is missing for says EINVAL. */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EINVAL'].includes(errorCode(error))
}

function isIn(id: string, cgroupFile: string): boolean {
  return parseCgroupFile(readFileSync(cgroupFile, 'latin1')).ids.includes(id)
}

function isUnmasked({ maskedPaths, readonlyPaths }: ContainerDetails): boolean {
  return maskedPaths.length + readonlyPaths.length === 0
}

/**
 * Runtimes leave out what does not exist. The entries of procfs and sysfs that masks are for are the same for all, so
 * they are looked for in the host's own, which nobody in a container can make hang. Elsewhere only a mask that was
 * seen can be missed.
 */
function absentPaths(
  { maskedPaths, readonlyPaths }: ContainerDetails,
  { at }: SeenMounts,
  { isLate, paths: { procRoot, sysRoot } }: { isLate: boolean; paths: KernelPaths },
): ReadonlySet<string> {
  const exists = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined
  const isThere = (path: string) => {
    if (isLate && ofModules.has(path)) return false
    if (path.startsWith('/proc/')) return exists(procRoot + path.slice('/proc'.length))
    return path.startsWith('/sys/') && exists(sysRoot + path.slice('/sys'.length))
  }
  return new Set([...maskedPaths, ...readonlyPaths].filter((path) => !at.has(path) && !isThere(path)))
}

// They come with snd, scsi_mod and intel_rapl_common, which may be loaded while containers run.
const ofModules: ReadonlySet<string> = new Set([
  '/proc/asound',
  '/proc/scsi',
  '/sys/devices/virtual/powercap',
])

/** As runc's libcontainer/nsenter/nsexec.c names it, before its last exec. Anybody can be named so: not for long. */
function isRuntimeInit(status: string): boolean {
  return /^Name:\trunc:\[\d:/.test(status)
}

/** Null where there is no security module with labels, which is not the same as no label. */
function readLabel(path: string): string | null {
  try {
    return readFileSync(path, 'latin1').replace(/[\0\n]+$/, '')
  } catch {
    return null
  }
}

function seccompIn(status: string): number | null {
  const mode = /^Seccomp:\t(\d)$/m.exec(status)?.[1]
  return mode === undefined ? null : Number(mode)
}
