import { lstatSync, readFileSync, type Stats, statSync } from 'node:fs'
import { hasFileCapabilities } from '../../../linux/xattr.ts'
import type { ExecutableFile, FileOrigin, Process, ProgramFile } from '../../../model/observation.ts'
import { mountOf, parseMounts, unescapeOctal } from '../../../linux/mountinfo.ts'
import { memoryFile } from './exec-file.ts'

/** Inspects the executable of a process and its origin. `others` are pids with the same files that may live longer. */
export type ExecutableOriginLookup = (process: RunningProcess, others: readonly number[]) => ProgramFile

type RunningProcess = Pick<Process, 'pid' | 'namespaces' | 'exe' | 'exeTruncated' | 'exeFile'>

/** The result for a file that was not inspected. */
export const unknownFile: ProgramFile = { origin: 'unknown', status: null }

/** Inspects each file at most once per second, and a bounded number of files per second. */
export function executableOrigin({
  procRoot,
  now,
}: {
  procRoot: string
  now: () => number
}): ExecutableOriginLookup {
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
    if (recent.size >= maxInspectionsPerSecond) return unknownFile
    const file = inspect(procRoot, [process.pid, ...others], process)
    recent.set(key, file)
    return file
  }
}

// One inspection takes about 0.2 ms.
const maxInspectionsPerSecond = 100

function inspect(
  procRoot: string,
  pids: readonly number[],
  { exe, exeFile, exeTruncated }: RunningProcess,
): ProgramFile {
  if (exe.startsWith(memoryFile)) return { origin: 'memory', status: statusOf(procRoot, pids, exe, exeFile) }
  if (exeTruncated || exeFile === null) return unknownFile
  const status = statusOf(procRoot, pids, exe, exeFile)
  const mounts = firstOf(pids, (pid) => readFileSync(`${procRoot}/${pid}/mountinfo`, 'utf8')) ?? ''
  return { origin: originOf(locationOf(mounts, exe, exeFile.device), exeFile), status }
}

function originOf(location: FileLocation, { inode }: ExecutableFile): FileOrigin {
  if (location.kind !== 'overlay') return location.kind
  try {
    if (location.deleted || inodeAt(location.upper) !== undefined) return 'container'
    // The inode number is that of the lower file (Documentation/filesystems/overlayfs.rst, Inode properties).
    const lower = location.lowers.map(inodeAt).find((one) => one !== undefined)
    return lower === inode ? 'image' : 'unknown'
  } catch {
    return 'unknown'
  }
}

/** Undefined if the file does not exist; throws without permission. */
function inodeAt(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino
}

/**
 * Reads the status through a path that still leads to the same file; the program may have been replaced since its
 * exec.
 */
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

/** The first result that is not null; a candidate that is gone or may not be read has none. */
function firstOf<From, To>(all: readonly From[], read: (one: From) => To | null): To | null {
  for (const one of all) {
    try {
      const result = read(one)
      if (result !== null) return result
    } catch {
      // The process has exited, or only root may read it.
    }
  }
  return null
}

/** The location of a file in a container's mounts; for an overlay, its possible path in each layer. */
export type FileLocation =
  | { kind: 'overlay'; deleted: boolean; upper: string; lowers: readonly string[] }
  | { kind: 'volume' | 'tmpfs' | 'unknown' }

/** Locates an executable by the text of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export function locationOf(mountinfo: string, exe: string, device: number): FileLocation {
  const deleted = exe.endsWith(deletedSuffix)
  const path = deleted ? exe.slice(0, -deletedSuffix.length) : exe
  const mount = mountOf(path, parseMounts(mountinfo), (one) => one.device === device)
  if (mount === null) return { kind: 'unknown' }
  if (mount.type === 'tmpfs') return { kind: 'tmpfs' }
  if (mount.mountPoint !== '/') return { kind: 'volume' }
  const options = parseOptions(mount.superOptions)
  const upper = options.get('upperdir')?.[0]
  if (mount.type !== 'overlay' || upper === undefined) return { kind: 'unknown' }
  const lowers = ['lowerdir', 'lowerdir+'].flatMap((name) => options.get(name) ?? [])
  const inLayer = (layer: string) => layer + path
  return { kind: 'overlay', deleted, upper: inLayer(upper), lowers: lowers.map(inLayer) }
}

const deletedSuffix = ' (deleted)'

/** Superblock options; lists of directories are split. */
function parseOptions(text: string): Map<string, string[]> {
  const options = new Map<string, string[]>()
  for (const option of text.split(',')) {
    const [name = '', value = ''] = option.split(/=(.*)/s)
    const folders = value.split(':').map(unescapeOctal)
    options.set(name, [...(options.get(name) ?? []), ...folders])
  }
  return options
}
