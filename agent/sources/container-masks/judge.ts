import type { ContainerDetails } from '../../model/container.ts'
import type { MissingMask } from '../../model/observation.ts'
import type { EngineFacts } from './sandbox.ts'
import type { Mount, SeenMounts } from './mounts.ts'

/** What was seen of a container's first process. Null for what could not be read. */
export type Confinement = {
  mounts: SeenMounts
  /** Masked and read-only paths that need nothing on them: there was nothing to hide when it was first looked at. */
  absent: ReadonlySet<string>
  /** Of /proc/PID/attr/current, without its end. */
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

/** What of a container's configured confinement is missing (CVE-2025-31133, CVE-2025-52565, CVE-2025-52881). */
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

/** The places whose mounts the judgement needs, with all that they may be below of. */
export function placesOf({ maskedPaths, readonlyPaths }: Pick<Configured, 'maskedPaths' | 'readonlyPaths'>) {
  return new Set([...maskedPaths, ...readonlyPaths, consolePath, terminalsPath].flatMap(withParents))
}

const consolePath = '/dev/console'
const terminalsPath = '/dev/pts'

/** As maskPath() and maskDir() of runc's libcontainer/rootfs_linux.go do it: a read-only tmpfs, or the null device. */
function missingMask(path: string, { mounts, absent }: Confinement): MissingMask[] {
  const mount = mounts.at.get(path)
  if (mount === undefined ? absent.has(path) || isMasked(mounts, path) : isMask(mount)) return []
  return [
    { what: 'masked-path', path, found: mount === undefined ? 'nothing is mounted on it' : described(mount) },
  ]
}

function isMask({ type, root, readOnly }: Mount): boolean {
  if (type === 'tmpfs' && root === '/') return readOnly
  // Of the container's /dev or, without the right to make devices, of the host's; it may have been removed since.
  return ['tmpfs', 'devtmpfs'].includes(type) && /(?:^|\/)null(?:\/\/deleted)?$/.test(root)
}

/** What is below a masked directory is not there. */
function isMasked({ at }: SeenMounts, path: string): boolean {
  const [, ...parents] = withParents(path)
  const mount = parents.map((parent) => at.get(parent)).find((one) => one !== undefined)
  return (
    mount !== undefined && mount.at !== '/' && mount.type === 'tmpfs' && mount.root === '/' && mount.readOnly
  )
}

/** As readonlyPath() does it: the path bound over itself, read-only. */
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

/** Whether a path shows what it would without a mount; where it is in other file systems nobody knows. */
function isItself(path: string, { type, root }: Mount): boolean {
  if (path.startsWith('/proc/')) return type === 'proc' && root === path.slice('/proc'.length)
  if (path.startsWith('/sys/')) return type === 'sysfs' && root === path.slice('/sys'.length)
  return true
}

/** A window into procfs that lets write, at any other place: no runtime makes one unasked. */
function strayProc(
  { maskedPaths, readonlyPaths, ...rest }: Configured,
  { mounts }: Confinement,
): MissingMask[] {
  if (rest.privileged || rest.capabilitiesAdded.some((name) => /^(?:CAP_)?(?:SYS_ADMIN|ALL)$/.test(name)))
    return []
  const isJudged = new Set([...maskedPaths, ...readonlyPaths, consolePath, terminalsPath])
  return mounts.writableProc
    .filter(({ at }) => !isJudged.has(at) && !isMountedByUser(rest, at))
    .map((mount) => ({ what: 'masked-path', path: mount.at, found: described(mount) }))
}

/** As mountConsole() of runc's libcontainer/console_linux.go does it, where there is a terminal. */
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
  // `profile (enforce)`; profiles may be stacked, and each may stand in a namespace (apparmor.d(5)).
  const profiles = label
    .split('//&')
    .map((part) => part.replace(/ \([a-z]+\)$/, '').replace(/^:.*:(?:\/\/)?/, ''))
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

/** What the user mounts there, or above of it, is as he wants it. */
function isMountedByUser({ mounts }: Pick<Configured, 'mounts'>, path: string): boolean {
  return mounts.some(({ destination }) => path === destination || path.startsWith(`${destination}/`))
}

function described({ type, root, readOnly }: Mount): string {
  return `${type} from ${root}, ${readOnly ? 'read-only' : 'writable'}`
}

/** The path and what it is below of, the nearest first. */
function withParents(path: string): string[] {
  const parts = path.split('/').filter(Boolean)
  return [...parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`), '/']
}
