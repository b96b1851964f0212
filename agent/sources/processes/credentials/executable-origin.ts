import { lstatSync, readFileSync, type Stats, statSync } from 'node:fs'
import { hasFileCapabilities } from '../../../linux/xattr.ts'
import type { ExecutableFile, FileOrigin, Process, ProgramFile } from '../../../model/observation.ts'
import { deviceNumber } from '../../../linux/device-number.ts'
import { memoryFile } from './exec-file.ts'

/** Looks at the file that a process runs, and where it comes from. `others` have the same files and may live longer. */
export type Provenance = (process: Running, others: readonly number[]) => ProgramFile

type Running = Pick<Process, 'pid' | 'namespaces' | 'exe' | 'exeTruncated' | 'exeFile'>

/** Nothing is known of a file that nobody looked at. */
export const unknownFile: ProgramFile = { origin: 'unknown', status: null }

/** Whoever runs the same program again and again costs one look in a second, and all together cost a bounded number. */
export function provenance({ procRoot, now }: { procRoot: string; now: () => number }): Provenance {
  const recent = new Map<string, ProgramFile>()
  let since = now()

  return (process, others) => {
    const { exe, exeFile } = process
    if (now() - since > 1_000) {
      recent.clear()
      since = now()
    }
    const key = [process.namespaces.mount, exeFile?.device, exeFile?.inode, exe].join('\0')
    const known = recent.get(key)
    if (known !== undefined) return known
    if (recent.size >= maxLooksPerSecond) return unknownFile
    const file = look(procRoot, [process.pid, ...others], process)
    recent.set(key, file)
    return file
  }
}

// One takes about 0.2 ms.
const maxLooksPerSecond = 100

function look(
  procRoot: string,
  pids: readonly number[],
  { exe, exeFile, exeTruncated }: Running,
): ProgramFile {
  if (exe.startsWith(memoryFile)) return { origin: 'memory', status: statusOf(procRoot, pids, exe, exeFile) }
  if (exeTruncated || exeFile === null) return unknownFile
  const status = statusOf(procRoot, pids, exe, exeFile)
  const mounts = firstOf(pids, (pid) => readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')) ?? ''
  return { origin: originOf(placeOf(mounts, exe, exeFile.device), exeFile), status }
}

function originOf(place: Place, { inode }: ExecutableFile): FileOrigin {
  if (place.kind !== 'overlay') return place.kind
  try {
    if (place.deleted || inodeAt(place.upper) !== undefined) return 'container'
    // The number of the inode is the lower file's own (Documentation/filesystems/overlayfs.rst, Inode properties).
    const lower = place.lowers.map(inodeAt).find((one) => one !== undefined)
    return lower === inode ? 'image' : 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Undefined where there is no such file; fails where nobody may look. */
function inodeAt(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino
}

/** By one of the ways to the file that leads to the same one; a program may have been replaced since it was run. */
function statusOf(
  procRoot: string,
  pids: readonly number[],
  exe: string,
  file: ExecutableFile | null,
): ProgramFile['status'] {
  const paths = pids.flatMap((pid) => [`${procRoot}/${pid}/exe`, `${procRoot}/${pid}/root${exe}`])
  return firstOf(paths, (path) => {
    const found = statSync(path)
    if (found.dev !== file?.device || found.ino !== file.inode) return null
    return { owner: found.uid, mode: permissions(found), hasCapabilities: hasFileCapabilities(path) }
  })
}

function permissions({ mode }: Stats): number {
  return mode & 0o7777
}

/** The first answer; what is gone or may not be read has none. */
function firstOf<From, To>(all: readonly From[], ask: (one: From) => To | null): To | null {
  for (const one of all) {
    try {
      const answer = ask(one)
      if (answer !== null) return answer
    } catch {
      // The process ended, or shows itself to root only.
    }
  }
  return null
}

/** Where in a container's mounts a file lies; of an overlay, where the file would be in each of its layers. */
export type Place =
  | { kind: 'overlay'; deleted: boolean; upper: string; lowers: readonly string[] }
  | { kind: 'volume' | 'tmpfs' | 'unknown' }

/** Finds a program's place by the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export function placeOf(mountinfo: string, exe: string, device: number): Place {
  const deleted = exe.endsWith(deletedMark)
  const path = deleted ? exe.slice(0, -deletedMark.length) : exe
  const mount = mountinfo
    .split('\n')
    .flatMap(parseMount)
    .filter((one) => one.device === device && isBelow(path, one.mountPoint))
    // The later mount hides the earlier at the same place.
    .reduce<Mount | null>(
      (best, one) => (one.mountPoint.length >= (best?.mountPoint.length ?? 0) ? one : best),
      null,
    )
  if (mount === null) return { kind: 'unknown' }
  if (mount.type === 'tmpfs') return { kind: 'tmpfs' }
  if (mount.mountPoint !== '/') return { kind: 'volume' }
  const upper = mount.options.get('upperdir')?.[0]
  if (mount.type !== 'overlay' || upper === undefined) return { kind: 'unknown' }
  const lowers = ['lowerdir', 'lowerdir+'].flatMap((name) => mount.options.get(name) ?? [])
  const inLayer = (layer: string) => layer + path
  return { kind: 'overlay', deleted, upper: inLayer(upper), lowers: lowers.map(inLayer) }
}

const deletedMark = ' (deleted)'

type Mount = {
  device: number
  mountPoint: string
  type: string
  /** Of the superblock; those that name several folders are split. */
  options: ReadonlyMap<string, readonly string[]>
}

function parseMount(line: string): Mount[] {
  const [before = '', after = ''] = line.split(' - ')
  const [, , device = '', , mountPoint] = before.split(' ')
  const [type, , options = ''] = after.split(' ')
  const [major, minor] = device.split(':').map(Number)
  if (mountPoint === undefined || type === undefined || major === undefined || minor === undefined) return []
  return [
    {
      device: deviceNumber(major, minor),
      mountPoint: unescapeOctal(mountPoint),
      type,
      options: parseOptions(options),
    },
  ]
}

function parseOptions(text: string): Map<string, string[]> {
  const options = new Map<string, string[]>()
  for (const option of text.split(',')) {
    const [name = '', value = ''] = option.split(/=(.*)/s)
    const folders = value.split(':').map(unescapeOctal)
    options.set(name, [...(options.get(name) ?? []), ...folders])
  }
  return options
}

function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

function isBelow(path: string, mountPoint: string): boolean {
  return path === mountPoint || path.startsWith(mountPoint.endsWith('/') ? mountPoint : `${mountPoint}/`)
}
