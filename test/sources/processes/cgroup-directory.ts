import { readFileSync } from 'node:fs'

/** The directory of a process's cgroup, in the hierarchy used to identify containers. */
export function cgroupDirectory(pid: number): string {
  const text = readFileSync(`/proc/${pid}/cgroup`, 'utf8')
  const path = /^\d+:pids:(.*)$/m.exec(text)?.[1]
  return path === undefined
    ? `/sys/fs/cgroup${/^0::(.*)$/m.exec(text)?.[1] ?? ''}`
    : `/sys/fs/cgroup/pids${path}`
}

/** The root of that hierarchy. */
export function cgroupRootOf(directory: string): string {
  return directory.startsWith('/sys/fs/cgroup/pids/') ? '/sys/fs/cgroup/pids' : '/sys/fs/cgroup'
}
