import { lstatSync, readFileSync } from 'node:fs'
import { errorCode, isProcessGone, messageOf } from '../../lib/errors.ts'
import type { Container, ContainerDetails } from '../../model/container.ts'
import type { MaskState, MissingMask } from '../../model/observation.ts'
import { parseCgroupFile } from '../processes/attribution/cgroup.ts'
import { missingMasks, placesOf } from './judge.ts'
import { readMounts, type SeenMounts } from './mounts.ts'
import { type EngineFacts, isSandboxed } from './sandbox.ts'

/** Mount points of procfs and sysfs. */
export type KernelPaths = { procRoot: string; sysRoot: string }

/** One run of a container, with what earlier checks found. */
export type Run = {
  id: string
  /** Epoch milliseconds. */
  startedAt: number
  /** Paths that did not exist at the first check; null before it. */
  absent: ReadonlySet<string> | null
}

/** `unsettled`: the runtime has not executed the container's program yet, so check again soon. */
export type CheckResult =
  | { state: MaskState; pid: number; missing: readonly MissingMask[]; unsettled: boolean; refused: string }
  | { state: 'gone' }

/** Checks a container's first process: the mounts that hide paths, the security label and the seccomp filter. */
export async function checkMasks(
  { id, details }: Container,
  run: Run,
  { facts, paths, now }: { facts: EngineFacts; paths: KernelPaths; now: () => number },
): Promise<CheckResult> {
  if (details === null || details.pid === 0) return { state: 'gone' }
  const { pid } = details
  const result = (
    state: MaskState,
    rest: Partial<Extract<CheckResult, { pid: number }>> = {},
  ): CheckResult => ({
    state,
    pid,
    missing: [],
    unsettled: false,
    refused: '',
    ...rest,
  })
  if (isSandboxed(details.runtime, facts)) return result('sandboxed')
  const directory = `${paths.procRoot}/${pid}`
  try {
    // The pid may have been reused, or belong to another host.
    if (!isIn(id, `${directory}/cgroup`))
      return result('unknown', { refused: 'it is not a process of this host' })
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
    // It may have exited during the check, and its pid may have been reused.
    if (!isIn(id, `${directory}/cgroup`)) return { state: 'gone' }
    const missing = missingMasks(details, seen, facts)
    if (missing.length > 0) return result('missing', { missing, unsettled })
    return result(isUnmasked(details) ? 'unmasked' : 'intact', { unsettled })
  } catch (error) {
    if (isGone(error)) return { state: 'gone' }
    return result('unknown', { refused: messageOf(error) })
  }
}

// If the container started before we did, a kernel module may have added a path since, for which it has no mask.
const lateMs = 10_000
// How long a first process may claim to be the runtime.
const settleMs = 10_000

/** Reading /proc/PID/mountinfo of a zombie fails with EINVAL. */
function isGone(error: unknown): boolean {
  return isProcessGone(error) || errorCode(error) === 'EINVAL'
}

function isIn(id: string, cgroupFile: string): boolean {
  return parseCgroupFile(readFileSync(cgroupFile, 'latin1')).ids.includes(id)
}

function isUnmasked({ maskedPaths, readonlyPaths }: ContainerDetails): boolean {
  return maskedPaths.length + readonlyPaths.length === 0
}

/**
 * Runtimes skip paths that do not exist. The masked entries of procfs and sysfs are the same in every mount, so they
 * are looked up in the host's own, which no process in a container can make hang. Elsewhere only a mask seen before
 * can be reported missing.
 */
function absentPaths(
  { maskedPaths, readonlyPaths }: ContainerDetails,
  { at }: SeenMounts,
  { isLate, paths: { procRoot, sysRoot } }: { isLate: boolean; paths: KernelPaths },
): ReadonlySet<string> {
  const exists = (path: string) => lstatSync(path, { throwIfNoEntry: false }) !== undefined
  const isPresent = (path: string) => {
    if (isLate && modulePaths.has(path)) return false
    if (path.startsWith('/proc/')) return exists(procRoot + path.slice('/proc'.length))
    return path.startsWith('/sys/') && exists(sysRoot + path.slice('/sys'.length))
  }
  return new Set([...maskedPaths, ...readonlyPaths].filter((path) => !at.has(path) && !isPresent(path)))
}

// Created by snd, scsi_mod and intel_rapl_common, which may be loaded while containers run.
const modulePaths: ReadonlySet<string> = new Set([
  '/proc/asound',
  '/proc/scsi',
  '/sys/devices/virtual/powercap',
])

/** The name set by runc's libcontainer/nsenter/nsexec.c before its last exec. Any process can take it, so not for long. */
function isRuntimeInit(status: string): boolean {
  return /^Name:\trunc:\[\d:/.test(status)
}

/** Null if no security module with labels is active, which differs from having no label. */
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
