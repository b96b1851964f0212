import { isAtOrBelow, mountOf, parseMounts } from '../../../linux/mountinfo.ts'

/** The location of a file within its file system, which is the same for all mounts of that file system. */
export type FileLocation = {
  /** Device number of the superblock, as stat(2) returns it. */
  device: number
  path: string
}

/** Locates a host file by the text of the host's /proc/PID/mountinfo. */
export function locateFile(mountinfo: string, path: string): FileLocation | null {
  const mount = mountOf(path, parseMounts(mountinfo))
  if (mount === null) return null
  const rest = mount.mountPoint === '/' ? path : path.slice(mount.mountPoint.length)
  return { device: mount.device, path: mount.root === '/' ? rest : mount.root + rest }
}

/** Whether these mounts show the file anywhere: then a process can open it without a trick. */
export function isMounted(mountinfo: string, { device, path }: FileLocation): boolean {
  return parseMounts(mountinfo).some((mount) => mount.device === device && isAtOrBelow(path, mount.root))
}
