import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs'

/**
 * Whether a process's working directory is on a mount of the host and on none of its own (CVE-2024-21626): by mount id,
 * which is unique across namespaces. For processes read from /proc; at an exec the kernel program checks it
 * (`ebpf/exec/program.ts`). False where it cannot be determined.
 */
export function worksOutside(procRoot: string, pid: number): boolean {
  try {
    const mount = mountOf(`${procRoot}/${pid}/cwd`)
    return !isListed(mount, `${procRoot}/${pid}/mountinfo`) && isListed(mount, `${procRoot}/1/mountinfo`)
  } catch {
    // It exited, may not be read, or has created more mounts than we read.
    return false
  }
}

// <fcntl.h>: a descriptor that only refers to a path, without an open by the file system.
const O_PATH = 0o10000000

function mountOf(path: string): string {
  const fd = openSync(path, O_PATH | constants.O_DIRECTORY)
  try {
    const number = /^mnt_id:\t(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
    if (number === undefined) throw new Error('no mount number')
    return number
  } finally {
    closeSync(fd)
  }
}

function isListed(mount: string, mountinfo: string): boolean {
  const text = readBounded(mountinfo)
  return text.startsWith(`${mount} `) || text.includes(`\n${mount} `)
}

// A host with a thousand containers has some 600 KiB; a process may make 100,000 mounts (fs.mount-max).
const maxBytes = 1 << 21
const pieceBytes = 1 << 14

function readBounded(path: string): string {
  const fd = openSync(path, 'r')
  try {
    let text = ''
    for (;;) {
      const piece = Buffer.allocUnsafe(pieceBytes)
      const count = readSync(fd, piece, 0, pieceBytes, null)
      if (count === 0) return text
      text += piece.toString('latin1', 0, count)
      if (text.length > maxBytes) throw new Error('too many mounts')
    }
  } finally {
    closeSync(fd)
  }
}
