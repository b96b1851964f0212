import { readFileSync, statSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { SystemCallError } from '../../linux/libc.ts'
import { findHierarchy } from '../../ebpf/hierarchy.ts'
import { parseCgroupMounts } from '../resources/cgroup-mounts.ts'
import { openSysctlWatch, type SysctlWatch } from './sysctl-writes/watch.ts'
import { sysctls } from './sysctls.ts'
import {
  openFileActivityWatch,
  type FileActivityListener,
  type FileActivityWatch,
} from './file-activity-watch.ts'
import { readValue } from './value.ts'

/** The kernel sensors that could be opened; `lacking` says why others could not, and how to enable them. */
export type Sensors = {
  sysctls: SysctlWatch | null
  fileActivity: FileActivityWatch | null
  mode: 'bpf+fanotify' | 'bpf' | 'fanotify' | 'polling'
  lacking: readonly string[]
}

/** Opens each sensor; tests replace one by a function that fails. */
export type OpenSensors = {
  openSysctls?: typeof openSysctlWatch
  openFileActivity?: typeof openFileActivityWatch
}

/** Opens the sensors that this kernel and our capabilities allow. */
export function openSensors(
  { procRoot, cgroupRoot }: { procRoot: string; cgroupRoot: string },
  listener: FileActivityListener,
  { openSysctls = openSysctlWatch, openFileActivity = openFileActivityWatch }: OpenSensors = {},
): Sensors {
  const lacking: string[] = []
  const attempt = <T>(open: () => T, reasonOf: (error: unknown) => string): T | null => {
    try {
      return open()
    } catch (error) {
      lacking.push(reasonOf(error))
      return null
    }
  }
  const fileActivity = attempt(() => openFileActivity(listener), reasonWithoutFanotify)
  const ofSysctls = attempt(() => {
    const cgroup2 = rootCgroup(procRoot, cgroupRoot)
    const hierarchy = findHierarchy(procRoot)
    const watch = openSysctls({ cgroup2, hierarchy, names: sysctls.map(({ name }) => name) })
    if (isWorking(watch, procRoot)) return watch
    watch.close()
    throw new Error('the eBPF program was loaded but sees no accesses to sysctls')
  }, reasonWithoutBpf)
  const names = [ofSysctls && 'bpf', fileActivity && 'fanotify'].filter((name) => name !== null)
  const mode = (names.join('+') || 'polling') as Sensors['mode']
  return { sysctls: ofSysctls, fileActivity, mode, lacking }
}

/** Whether the program counts our own accesses. */
export function isWorking(watch: SysctlWatch, procRoot: string): boolean {
  const before = watch.accesses()
  for (const { name } of sysctls) readValue(`${procRoot}/sys/${name}`)
  return watch.accesses() > before
}

/** The mount of the root cgroup, which contains all processes. A container has only its own cgroup mounted there. */
function rootCgroup(procRoot: string, cgroupRoot: string): string {
  const { v2 } = parseCgroupMounts(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'), cgroupRoot)
  if (v2 === null)
    throw new Error(
      'no cgroup v2 hierarchy is mounted: mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2',
    )
  // The root's inode is the first of its file system (kernfs_create_root() of fs/kernfs/dir.c).
  if (statSync(v2.mountPoint).ino !== 1)
    throw new Error('not running in the host’s cgroup namespace: run with --cgroupns=host')
  return v2.mountPoint
}

function reasonWithoutBpf(error: unknown): string {
  const what = 'sysctl writes are only detected by polling every second, without the writing process'
  if (isForbidden(error)) return `${what}: run as root or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN`
  return `${what}: ${messageOf(error)}`
}

function reasonWithoutFanotify(error: unknown): string {
  const what = 'file changes are only detected by polling every second, without the writing process'
  if (isForbidden(error)) return `${what}: run as root or grant CAP_SYS_ADMIN`
  return `${what}: ${messageOf(error)}`
}

/** Also if the kernel's refusal is the cause of another error. */
function isForbidden(error: unknown): boolean {
  if (error instanceof SystemCallError) return error.code === 'EPERM'
  return error instanceof Error && error.cause !== undefined && isForbidden(error.cause)
}
