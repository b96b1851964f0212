import { readFileSync, statSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { SystemCallError } from '../../linux/libc.ts'
import { findHierarchy } from '../../ebpf/hierarchy.ts'
import { parseCgroupMounts } from '../resources/cgroup-mounts.ts'
import { openSysctlWatch, type SysctlWatch } from './sysctl-writes/watch.ts'
import { sysctls } from './sysctls.ts'
import { openTouchWatch, type TouchListener, type TouchWatch } from './file-activity-watch.ts'
import { readValue } from './value.ts'

/** What of the kernel's eyes could be had; `lacking` says why not, and how to get them. */
export type Sensors = {
  sysctls: SysctlWatch | null
  touches: TouchWatch | null
  mode: 'bpf+fanotify' | 'bpf' | 'fanotify' | 'polling'
  lacking: readonly string[]
}

/** How each sensor is opened; tests refuse one. */
export type OpenSensors = {
  openSysctls?: typeof openSysctlWatch
  openTouches?: typeof openTouchWatch
}

/** Opens what this kernel, and our rights, allow. */
export function openSensors(
  { procRoot, cgroupRoot }: { procRoot: string; cgroupRoot: string },
  listener: TouchListener,
  { openSysctls = openSysctlWatch, openTouches = openTouchWatch }: OpenSensors = {},
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
  const touches = attempt(() => openTouches(listener), reasonWithoutFanotify)
  const ofSysctls = attempt(() => {
    const cgroup2 = rootOfCgroups(procRoot, cgroupRoot)
    const hierarchy = findHierarchy(procRoot)
    const watch = openSysctls({ cgroup2, hierarchy, names: sysctls.map(({ name }) => name) })
    if (isAtWork(watch, procRoot)) return watch
    watch.close()
    throw new Error('the program was loaded, but it does not see what is read')
  }, reasonWithoutBpf)
  const names = [ofSysctls && 'bpf', touches && 'fanotify'].filter((name) => name !== null)
  const mode = (names.join('+') || 'polling') as Sensors['mode']
  return { sysctls: ofSysctls, touches, mode, lacking }
}

/** Whether the program sees what we ourselves do: it counts each access. */
export function isAtWork(watch: SysctlWatch, procRoot: string): boolean {
  const before = watch.accesses()
  for (const { name } of sysctls) readValue(`${procRoot}/sys/${name}`)
  return watch.accesses() > before
}

/** Where all processes are below. What a container has mounted there is its own cgroup only. */
function rootOfCgroups(procRoot: string, cgroupRoot: string): string {
  const { v2 } = parseCgroupMounts(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'), cgroupRoot)
  if (v2 === null)
    throw new Error(
      'no cgroup hierarchy of version 2 is mounted: mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2',
    )
  // The root's inode is the first of its file system (kernfs_create_root() of fs/kernfs/dir.c).
  if (statSync(v2.mountPoint).ino !== 1)
    throw new Error('the cgroup namespace is not the host’s: run with --cgroupns=host')
  return v2.mountPoint
}

function reasonWithoutBpf(error: unknown): string {
  const what = 'writes to sysctls are found within a second only, and who made them is not'
  if (isForbidden(error)) return `${what}: run as root or grant CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN`
  return `${what}: ${messageOf(error)}`
}

function reasonWithoutFanotify(error: unknown): string {
  const what = 'changes of files are found within a second only, and who made them is not'
  if (isForbidden(error)) return `${what}: run as root or grant CAP_SYS_ADMIN`
  return `${what}: ${messageOf(error)}`
}

/** Also where the kernel's refusal is told as the cause of another error. */
function isForbidden(error: unknown): boolean {
  if (error instanceof SystemCallError) return error.code === 'EPERM'
  return error instanceof Error && error.cause !== undefined && isForbidden(error.cause)
}
