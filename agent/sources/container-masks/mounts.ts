import { closeSync, openSync, readSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'

/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)), as far as masks are concerned. */
export type Mount = {
  at: string
  /** Which part of its file system is mounted there. */
  root: string
  type: string
  readOnly: boolean
}

export type SeenMounts = {
  /** The last, and so the visible one, at each place that was asked for. */
  at: ReadonlyMap<string, Mount>
  /** Parts of procfs that are mounted writable, wherever. */
  writableProc: readonly Mount[]
}

/** Reads the mounts of a process piece by piece: it may have made a hundred thousand of them (fs.mount-max). */
export async function readMounts(path: string, places: ReadonlySet<string>): Promise<SeenMounts> {
  const gathered = gatherMounts(places)
  const fd = openSync(path, 'r')
  try {
    const piece = Buffer.allocUnsafe(pieceBytes)
    let rest = ''
    let total = 0
    for (;;) {
      const count = readSync(fd, piece, 0, pieceBytes, null)
      if (count === 0) return gathered.seen()
      total += count
      if (total > maxBytes) throw new Error(`more than ${maxBytes} bytes of mounts`)
      const lines = (rest + piece.toString('latin1', 0, count)).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > maxLine) throw new Error(`a mount of more than ${maxLine} bytes`)
      for (const line of lines) gathered.add(line)
      // The usual container's are one piece; of others a piece takes less than a millisecond.
      if (total > pieceBytes) await nextTurn()
    }
  } finally {
    closeSync(fd)
  }
}

// The kernel hands out a page or so at a time (seq_file), whatever is asked for.
const pieceBytes = 1 << 15
const maxBytes = 1 << 25
// Four paths of PATH_MAX, each byte escaped, are 64 KiB; an overlay names many more in at most a page of options.
const maxLine = 1 << 17
const maxWritableProc = 64

/** Takes the lines one after the other. Paths are compared as bytes, which latin1 keeps. */
export function gatherMounts(places: ReadonlySet<string>) {
  const at = new Map<string, Mount>()
  const writableProc: Mount[] = []

  function add(line: string): void {
    const mount = parseMount(line)
    if (mount === null) return
    if (places.has(mount.at)) at.set(mount.at, mount)
    const isPartOfProc = mount.type === 'proc' && mount.root !== '/' && !mount.readOnly
    if (isPartOfProc && writableProc.length < maxWritableProc) writableProc.push(mount)
  }

  return { add, seen: (): SeenMounts => ({ at, writableProc }) }
}

function parseMount(line: string): Mount | null {
  const fields = line.split(' ')
  const [, , , root, at, options] = fields
  const dash = fields.indexOf('-', 6)
  const type = fields[dash + 1]
  const ofSuperblock = fields[dash + 3]
  if (root === undefined || at === undefined || options === undefined || dash < 0 || type === undefined)
    return null
  const readOnly = isReadOnly(options) || isReadOnly(ofSuperblock ?? '')
  return { at: unescapeOctal(at), root: unescapeOctal(root), type, readOnly }
}

function isReadOnly(options: string): boolean {
  return options === 'ro' || options.startsWith('ro,')
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}
