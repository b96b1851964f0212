import type { ContainerDetails } from '../../model/container.ts'
import type { MissingMask } from '../../model/observation.ts'
import type { EngineFacts } from './sandbox.ts'
import type { Mount } from '../../linux/mountinfo.ts'
import type { SeenMounts } from './mounts.ts'

/** The state of a container's first process. Null for what could not be read. */
export type Confinement = {
  mounts: SeenMounts
  /** Masked and read-only paths that need no mount: they did not exist at the first check. */
  absent: ReadonlySet<string>
  /** Content of /proc/PID/attr/current, without its terminator. */
  label: string | null
  /** `Seccomp:` of /proc/PID/status: 0 none, 1 strict, 2 filter. */
  seccomp: number | null
}

type Configured = Pick<
  ContainerDetails,
  | 'maskedPaths'
  | 'readonlyPaths'
  | 'privileged'
  | 'securityOptions'
  | 'capabilitiesAdded'
  | 'mounts'
  | 'tty'
  | 'appArmorProfile'
  | 'processLabel'
>

/**
 * The parts of a container's configured confinement that are missing (CVE-2025-31133, CVE-2025-52565,
 * CVE-2025-52881).
 */
export function missingMasks(
  configured: Configured,
  seen: Confinement,
  facts: Pick<EngineFacts, 'seccomp'>,
): MissingMask[] {
  return [
    ...configured.maskedPaths.flatMap((path) => missingMask(path, seen)),
    ...configured.readonlyPaths.flatMap((path) => missingReadOnly(path, seen)),
    ...strayProc(configured, seen),
    ...missingConsole(configured, seen),
    ...missingTerminals(configured, seen),
    ...missingLabel(configured, seen),
    ...missingSeccomp(configured, seen, facts),
  ]
}

/** The paths whose mounts `missingMasks` needs, including all parent directories. */
export function placesOf({ maskedPaths, readonlyPaths }: Pick<Configured, 'maskedPaths' | 'readonlyPaths'>) {
  return new Set([...maskedPaths, ...readonlyPaths, consolePath, terminalsPath].flatMap(withParents))
}

const consolePath = '/dev/console'
const terminalsPath = '/dev/pts'

/** As in maskPath() and maskDir() of runc's libcontainer/rootfs_linux.go: a read-only tmpfs, or the null device. */
function missingMask(path: string, { mounts, absent }: Confinement): MissingMask[] {
  const mount = mounts.at.get(path)
  if (mount === undefined ? absent.has(path) || isMasked(mounts, path) : isMask(mount)) return []
  return [
    { what: 'masked-path', path, found: mount === undefined ? 'nothing is mounted on it' : described(mount) },
  ]
}

function isMask({ type, root, readOnly }: Mount): boolean {
  if (type === 'tmpfs' && root === '/') return readOnly
  // The null device of the container's /dev or, without the right to create devices, the host's; it may be deleted.
  return ['tmpfs', 'devtmpfs'].includes(type) && /(?:^|\/)null(?:\/\/deleted)?$/.test(root)
}

/** Paths below a masked directory do not exist. */
function isMasked({ at }: SeenMounts, path: string): boolean {
  const [, ...parents] = withParents(path)
  const mount = parents.map((parent) => at.get(parent)).find((one) => one !== undefined)
  return (
    mount !== undefined &&
    mount.mountPoint !== '/' &&
    mount.type === 'tmpfs' &&
    mount.root === '/' &&
    mount.readOnly
  )
}

/** As in readonlyPath(): the path is bind-mounted over itself, read-only. */
function missingReadOnly(path: string, { mounts, absent }: Confinement): MissingMask[] {
  const found = (text: string): MissingMask[] => [{ what: 'readonly-path', path, found: text }]
  const mount = mounts.at.get(path)
  if (mount === undefined) {
    const parent = withParents(path)
      .map((one) => mounts.at.get(one))
      .find((one) => one !== undefined)
    return absent.has(path) || parent?.readOnly === true ? [] : found('nothing is mounted on it')
  }
  return mount.readOnly && isItself(path, mount) ? [] : found(described(mount))
}

/** Whether a path shows what it would without a mount; outside procfs and sysfs that cannot be checked. */
function isItself(path: string, { type, root }: Mount): boolean {
  if (path.startsWith('/proc/')) return type === 'proc' && root === path.slice('/proc'.length)
  if (path.startsWith('/sys/')) return type === 'sysfs' && root === path.slice('/sys'.length)
  return true
}

/** A writable mount of a procfs subtree at any other path: no runtime creates one unless asked. */
function strayProc(
  { maskedPaths, readonlyPaths, ...rest }: Configured,
  { mounts }: Confinement,
): MissingMask[] {
  if (rest.privileged || rest.capabilitiesAdded.some((name) => /^(?:CAP_)?(?:SYS_ADMIN|ALL)$/.test(name)))
    return []
  const isJudged = new Set([...maskedPaths, ...readonlyPaths, consolePath, terminalsPath])
  return mounts.writableProc
    .filter(({ mountPoint }) => !isJudged.has(mountPoint) && !isMountedByUser(rest, mountPoint))
    .map((mount) => ({ what: 'masked-path', path: mount.mountPoint, found: described(mount) }))
}

/** As in mountConsole() of runc's libcontainer/console_linux.go, if the container has a terminal. */
function missingConsole(configured: Configured, { mounts }: Confinement): MissingMask[] {
  if (isMountedByUser(configured, consolePath)) return []
  const mount = mounts.at.get(consolePath)
  if (mount === undefined)
    return configured.tty ? [{ what: 'console', path: consolePath, found: 'nothing is mounted on it' }] : []
  const isTerminal = mount.type === 'devpts' && /^\/\d+$/.test(mount.root)
  return isTerminal ? [] : [{ what: 'console', path: consolePath, found: described(mount) }]
}

function missingTerminals(configured: Configured, { mounts }: Confinement): MissingMask[] {
  if (isMountedByUser(configured, terminalsPath)) return []
  const mount = mounts.at.get(terminalsPath)
  if (mount?.type === 'devpts' && mount.root === '/') return []
  const found = mount === undefined ? 'nothing is mounted on it' : described(mount)
  return [{ what: 'terminals', path: terminalsPath, found }]
}

function missingLabel({ appArmorProfile, processLabel }: Configured, { label }: Confinement): MissingMask[] {
  if (label === null) return []
  const found: MissingMask[] = [{ what: 'security-label', path: 'attr/current', found: label || 'no label' }]
  if (processLabel !== '') return label === processLabel ? [] : found
  if (appArmorProfile === '' || appArmorProfile === 'unconfined') return []
  // `profile (enforce)`; profiles may be stacked, and each may be in a namespace (apparmor.d(5)).
  const profiles = label
    .split('//&')
    .map((profile) => profile.replace(/ \([a-z]+\)$/, '').replace(/^:.*:(?:\/\/)?/, ''))
  return profiles.includes(appArmorProfile) ? [] : found
}

function missingSeccomp(
  { privileged, securityOptions }: Configured,
  { seccomp }: Confinement,
  facts: Pick<EngineFacts, 'seccomp'>,
): MissingMask[] {
  const isOff = privileged || securityOptions.some((option) => /^seccomp[=:]unconfined$/.test(option))
  if (isOff || facts.seccomp !== true || seccomp === null || seccomp === 2) return []
  return [{ what: 'seccomp', path: 'status', found: seccomp === 0 ? 'no filter' : `mode ${seccomp}` }]
}

/** A mount configured on the path, or above it, is intended. */
function isMountedByUser({ mounts }: Pick<Configured, 'mounts'>, path: string): boolean {
  return mounts.some(({ destination }) => path === destination || path.startsWith(`${destination}/`))
}

function described({ type, root, readOnly }: Mount): string {
  return `${type} from ${root}, ${readOnly ? 'read-only' : 'writable'}`
}

/** The path and its parent directories, nearest first. */
function withParents(path: string): string[] {
  const names = path.split('/').filter(Boolean)
  return [...names.map((_, index) => `/${names.slice(0, names.length - index).join('/')}`), '/']
}
