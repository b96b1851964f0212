import { deviceNumber } from './device-number.ts'

/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)), its paths unescaped. */
export type Mount = {
  /** The superblock's device number, as stat(2) returns it. */
  device: number
  /** The path within its file system that is mounted. */
  root: string
  mountPoint: string
  type: string
  /** The mount itself or its superblock is read-only. */
  readOnly: boolean
  /** Options of the superblock as the kernel prints them, separated by commas; paths in them are still escaped. */
  superOptions: string
}

/** Reads one line; null when it is incomplete. */
export function parseMount(line: string): Mount | null {
  const fields = line.split(' ')
  const [, , device = '', root, mountPoint, options = ''] = fields
  // Optional fields end with a single dash.
  const dash = fields.indexOf('-', 6)
  const type = fields[dash + 1]
  const superOptions = fields[dash + 3] ?? ''
  const [major = NaN, minor = NaN] = device.split(':').map(Number)
  if (root === undefined || mountPoint === undefined || dash < 0 || type === undefined) return null
  if (!Number.isInteger(major) || !Number.isInteger(minor)) return null
  return {
    device: deviceNumber(major, minor),
    root: unescapeOctal(root),
    mountPoint: unescapeOctal(mountPoint),
    type,
    readOnly: isReadOnly(options) || isReadOnly(superOptions),
    superOptions,
  }
}

/** Reads the whole file. A later mount hides an earlier one at the same mount point. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line) => parseMount(line) ?? [])
}

/** The mount that a path is on, of all mounts or of those that fit; null when there is none. */
export function mountOf(
  path: string,
  mounts: readonly Mount[],
  fits: (mount: Mount) => boolean = () => true,
): Mount | null {
  return mounts.reduce<Mount | null>((best, one) => {
    const isCloser = one.mountPoint.length >= (best?.mountPoint.length ?? 0)
    return isCloser && isAtOrBelow(path, one.mountPoint) && fits(one) ? one : best
  }, null)
}

/** Whether a path is a directory or something in it. */
export function isAtOrBelow(path: string, directory: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`)
}

/**
 * The kernel writes space, tab, newline and backslash in a path as `\040` and so on (`seq_path` of fs/seq_file.c).
 */
export function unescapeOctal(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

function isReadOnly(options: string): boolean {
  return options === 'ro' || options.startsWith('ro,')
}
