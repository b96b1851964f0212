import { closeSync, openSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Mount, parseMount } from '../../linux/mountinfo.ts'

export type SeenMounts = {
  /** The last mount on each requested path, which is the visible one. */
  at: ReadonlyMap<string, Mount>
  /** Subtrees of procfs that are mounted writable, at any path. */
  writableProc: readonly Mount[]
}

/** Reads the mounts of a process in chunks: it may have created a hundred thousand of them (fs.mount-max). */
export async function readMounts(path: string, places: ReadonlySet<string>): Promise<SeenMounts> {
  const collected = collectMounts(places)
  const fd = openSync(path, 'r')
  try {
    const chunk = Buffer.allocUnsafe(chunkBytes)
    let rest = ''
    let total = 0
    for (;;) {
      const count = readSync(fd, chunk, 0, chunkBytes, null)
      if (count === 0) return collected.seen()
      total += count
      if (total > maxBytes) throw new Error(`more than ${maxBytes} bytes of mounts`)
      const lines = (rest + chunk.toString('latin1', 0, count)).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > maxLine) throw new Error(`a mount of more than ${maxLine} bytes`)
      for (const line of lines) collected.add(line)
      // A typical container has one chunk; a chunk takes less than a millisecond.
      if (total > chunkBytes) await nextTurn()
    }
  } finally {
    closeSync(fd)
  }
}

// The kernel returns about a page per read (seq_file), whatever the requested size.
const chunkBytes = 1 << 15
const maxBytes = 1 << 25
// Four paths of PATH_MAX with every byte escaped are 64 KiB; an overlay lists more in at most a page of options.
const maxLine = 1 << 17
const maxWritableProc = 64

/** Collects mounts line by line. Paths are compared as bytes, which latin1 preserves. */
export function collectMounts(places: ReadonlySet<string>) {
  const at = new Map<string, Mount>()
  const writableProc: Mount[] = []

  function add(line: string): void {
    const mount = parseMount(line)
    if (mount === null) return
    if (places.has(mount.mountPoint)) at.set(mount.mountPoint, mount)
    const isProcSubtree = mount.type === 'proc' && mount.root !== '/' && !mount.readOnly
    if (isProcSubtree && writableProc.length < maxWritableProc) writableProc.push(mount)
  }

  return { add, seen: (): SeenMounts => ({ at, writableProc }) }
}
