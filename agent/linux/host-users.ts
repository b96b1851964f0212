import { readFileSync, statSync } from 'node:fs'

/** Names of the host's users; the number as text where there is none. */
export type HostUsers = { nameOf(uid: number): string }

/** Reads /etc/passwd when it is first needed, and anew when it has changed. */
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
      // A host whose users are not in a file, or the moment between two versions of it: the old names are as good.
    }
  }

  return {
    nameOf(uid) {
      refresh()
      return names.get(uid) ?? String(uid)
    },
  }
}

/** Reads passwd(5); the first of several names for a number counts, as for getpwuid(3). */
export function parsePasswd(text: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>()
  for (const line of text.split('\n')) {
    const [name = '', , uid = ''] = line.split(':')
    if (name !== '' && /^\d+$/.test(uid) && !names.has(Number(uid))) names.set(Number(uid), name)
  }
  return names
}
