import { readFileSync } from 'node:fs'

/** Translates a user id of the host into what it is in a user namespace (user_namespaces(7)). */
export type UidMaps = {
  /** The id itself where the namespace's map is not known. */
  inNamespace(uid: number, userNamespace: number): number
  /** Reads the map of a namespace from one of its processes; cheap when it is known already. */
  learn(userNamespace: number, pid: number): void
}

/** Maps of user namespaces, remembered by the namespace: a process may be gone before it is asked for its own. */
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

/** Reads /proc/PID/uid_map; lines that are none are skipped. */
export function parseUidMap(text: string): UidMap {
  return text.split('\n').flatMap((line) => {
    const [inside, outside, count] = line.trim().split(/\s+/).map(Number)
    if (inside === undefined || outside === undefined || count === undefined) return []
    return [inside, outside, count].every(isId) ? [{ inside, outside, count }] : []
  })
}

/** What fits the kernel's uid_t, and so does the length of an extent. */
function isId(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff
}

/** What a host's uid is called inside; an unmapped one is the overflow uid, as the kernel shows it. */
export function mapUid(uid: number, map: UidMap | undefined): number {
  if (map === undefined) return uid
  const extent = map.find(({ outside, count }) => uid >= outside && uid < outside + count)
  return extent === undefined ? overflowUid : extent.inside + uid - extent.outside
}

// The default of /proc/sys/kernel/overflowuid.
const overflowUid = 65_534

// Every container has at most one, but anybody may make namespaces in a loop.
const maxMaps = 4_096

function readUidMap(procRoot: string, pid: number): UidMap {
  try {
    return parseUidMap(readFileSync(`${procRoot}/${pid}/uid_map`, 'latin1'))
  } catch {
    return []
  }
}
