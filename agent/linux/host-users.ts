import { readFileSync, statSync } from 'node:fs'

/** Names of the host's users; the uid as text if it has no name. */
export type HostUsers = { nameOf(uid: number): string }

/** Reads /etc/passwd on first use, and again when it has changed. */
export function hostUsers(path = '/etc/passwd'): HostUsers {
  let names: ReadonlyMap<number, string> = new Map()
  let version = ''

  function refresh(): void {
    try {
      const { ino, size, mtimeMs } = statSync(path)
      const current = `${ino} ${size} ${mtimeMs}`
      if (current === version) return
      names = parsePasswd(readFileSync(path, 'utf8'))
      version = current
    } catch {
      // The host has no such file, or it is being replaced: keep the names read before.
    }
  }

  return {
    nameOf(uid) {
      refresh()
      return names.get(uid) ?? String(uid)
    },
  }
}

/** Parses passwd(5). If several names share a uid the first one counts, as for getpwuid(3). */
export function parsePasswd(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name = '', , uid = ''] = line.split(':')
    if (name !== '' && /^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name)
  }
  return names
}
