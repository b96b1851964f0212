import { readFileSync } from 'node:fs'

/** Translates a user id of the host into a user namespace (user_namespaces(7)). */
export type UidMaps = {
  /** Returns the id unchanged if the namespace's map is unknown. */
  inNamespace(uid: number, userNamespace: number): number
  /** Reads the map of a namespace from one of its processes; cheap if the map is already known. */
  learn(userNamespace: number, pid: number): void
}

/** Caches maps by user namespace, because a process may exit before its map can be read. */
export function uidMaps(procRoot: string, hostUserNamespace: number): UidMaps {
  const maps = new Map<number, UidMap>()

  function learn(userNamespace: number, pid: number): void {
    if (userNamespace === 0 || userNamespace === hostUserNamespace || maps.has(userNamespace)) return
    const map = readUidMap(procRoot, pid)
    if (map.length === 0) return
    if (maps.size >= maxMaps) maps.clear()
    maps.set(userNamespace, map)
  }

  return { learn, inNamespace: (uid, userNamespace) => mapUid(uid, maps.get(userNamespace)) }
}

export type UidMap = readonly { inside: number; outside: number; count: number }[]

/** Parses /proc/PID/uid_map, skipping malformed lines. */
export function parseUidMap(text: string): UidMap {
  return text.split('\n').flatMap((line) => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number)
    if (inside === undefined || outside === undefined || count === undefined) return []
    return [inside, outside, count].every(isId) ? [{ inside, outside, count }] : []
  })
}

/** Whether a value fits the kernel's uid_t, as must the length of an extent. */
function isId(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff
}

/** Maps a host uid into the namespace; an unmapped one becomes the overflow uid, as the kernel shows it. */
export function mapUid(uid: number, map: UidMap | undefined): number {
  if (map === undefined) return uid
  const extent = map.find(({ outside, count }) => uid >= outside && uid < outside + count)
  return extent === undefined ? overflowUid : extent.inside + uid - extent.outside
}

// The default of /proc/sys/kernel/overflowuid.
const overflowUid = 65_534

// Every container has at most one, but any user may create namespaces in a loop.
const maxMaps = 4_096

function readUidMap(procRoot: string, pid: number): UidMap {
  try {
    return parseUidMap(readFileSync(`${procRoot}/${pid}/uid_map`, 'latin1'))
  } catch {
    return []
  }
}
