/** Where in its file system a file is: what all mounts of that file system have in common. */
export type Place = {
  /** `major:minor` of the file system. */
  device: string
  path: string
}

/** Where a file of the host is, by the text of the host's /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export function placeOf(mountinfo: string, path: string): Place | null {
  const mount = mountinfo
    .split('\n')
    .flatMap(parseMount)
    .filter(({ at }) => isAtOrBelow(path, at))
    // The later hides the earlier at the same place.
    .reduce<Mount | null>((best, one) => (one.at.length >= (best?.at.length ?? 0) ? one : best), null)
  if (mount === null) return null
  const rest = mount.at === '/' ? path : path.slice(mount.at.length)
  return { device: mount.device, path: mount.root === '/' ? rest : mount.root + rest }
}

/** Whether a process with these mounts has the file among its own, wherever: then opening it needs no trick. */
export function isMounted(mountinfo: string, { device, path }: Place): boolean {
  return mountinfo
    .split('\n')
    .flatMap(parseMount)
    .some((mount) => mount.device === device && isAtOrBelow(path, mount.root))
}

type Mount = { device: string; root: string; at: string }

function parseMount(line: string): Mount[] {
  const [, , device, root, at] = line.split(' ')
  return device === undefined || root === undefined || at === undefined
    ? []
    : [{ device, root: unescapeOctal(root), at: unescapeOctal(at) }]
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

function isAtOrBelow(path: string, parent: string): boolean {
  return parent === '/' || path === parent || path.startsWith(`${parent}/`)
}
