/** A line of /proc/PID/mountinfo, as far as it tells whether files can be changed. */
export type MountPlace = { mountPoint: string; type: string; readOnly: boolean }

/** Reads /proc/PID/mountinfo (proc_pid_mountinfo(5)); a later mount hides an earlier one at the same place. */
export function parseMounts(text: string): MountPlace[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ')
    const [, , , , mountPoint, options = ''] = before.split(' ')
    const [type, , ofFileSystem = ''] = after.split(' ')
    if (mountPoint === undefined || type === undefined) return []
    const readOnly = [options, ofFileSystem].some((list) => list.split(',').includes('ro'))
    return [{ mountPoint: unescapeOctal(mountPoint), type, readOnly }]
  })
}

/** The mount that a path is on; null where the mounts are not known. */
export function mountOf(path: string, mounts: readonly MountPlace[]): MountPlace | null {
  return mounts.reduce<MountPlace | null>((best, one) => {
    const isAbove = one.mountPoint === '/' || path === one.mountPoint || path.startsWith(`${one.mountPoint}/`)
    return isAbove && one.mountPoint.length >= (best?.mountPoint.length ?? 0) ? one : best
  }, null)
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}
