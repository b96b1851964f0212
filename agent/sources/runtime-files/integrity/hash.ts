import { createHash } from 'node:crypto'
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  type Stats,
  statSync,
} from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import type { FileState, RuntimeFileKind } from '../../../model/observation.ts'
import { isAbsent } from './files.ts'

// One slice takes 0.1 to 0.5 ms to hash, far from the 10 ms that may block the loop.
const SLICE_BYTES = 256 * 1024

/** The digest covers this much of a file, so that a sparse file of terabytes cannot keep us busy forever. */
export const maxHashedBytes = 1024 ** 3

/** The state of the file that a path leads to now, with its digest; null when there is no file of this kind. */
export async function readFileState(
  path: string,
  signal?: AbortSignal,
  kind: RuntimeFileKind = 'binary',
): Promise<FileState | null> {
  signal?.throwIfAborted()
  if (kind === 'socket') return await readSocketState(path)
  const small = kind === 'binary' ? readSmallFile(path) : undefined
  if (small !== undefined) return small
  await using file = await openFile(path)
  if (file === null) return null
  const stats = await file.stat()
  if (!stats.isFile()) return null
  const stamp = await lastingStampOf(file)
  const state = fileState(stats, (await digestsOf(file, ['sha256'], signal))[0])
  if (stamp !== undefined) stamps.set(state, stamp)
  return kind === 'configuration' ? { ...state, text: await beginning(file) } : state
}

/**
 * Reads a file of at most one slice synchronously: handing each step to a thread takes longer than the step itself,
 * more so on a busy host. Undefined for all others.
 */
function readSmallFile(path: string): FileState | undefined {
  let fd: number
  try {
    if (statSync(path).size > SLICE_BYTES) return undefined
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch {
    return undefined
  }
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile() || stats.size > SLICE_BYTES) return undefined
    const bytes = Buffer.allocUnsafe(SLICE_BYTES + 1)
    let filled = 0
    for (let count = -1; count !== 0 && filled < bytes.length; filled += count)
      count = readSync(fd, bytes, filled, bytes.length - filled, filled)
    // The file grew while it was read.
    if (filled > SLICE_BYTES) return undefined
    return fileState(stats, createHash('sha256').update(bytes.subarray(0, filled)).digest('hex'))
  } finally {
    closeSync(fd)
  }
}

/** Whether the file takes a while to read. */
export function isLarge({ sizeBytes }: Pick<FileState, 'sizeBytes'>): boolean {
  return sizeBytes > SLICE_BYTES
}

/**
 * The digest of a file by an algorithm other than SHA-256; null when the file is no longer in `state`. SHA-256 is not
 * computed again when the ctime shows that the file is unchanged.
 */
export async function readDigest(
  path: string,
  state: FileState,
  algorithm: string,
  signal?: AbortSignal,
): Promise<string | null> {
  await using file = await openFile(path)
  if (file === null) return null
  const stats = await file.stat({ bigint: true })
  if (!stats.isFile()) return null
  const stamp = stampOfStats(stats)
  if (stamps.get(state) === stamp) {
    const [digest = null] = await digestsOf(file, [algorithm], signal)
    return stampOfStats(await file.stat({ bigint: true })) === stamp ? digest : null
  }
  const [sha256, digest] = await digestsOf(file, ['sha256', algorithm], signal)
  return sha256 === state.sha256 ? (digest ?? null) : null
}

/**
 * A stamp that changes with every change of a file: the kernel maintains the time of the last change (ctime), which
 * no system call can set. Empty when there is no file.
 */
export function stampOf(path: string): string {
  try {
    return stampOfStats(statSync(path, { bigint: true }))
  } catch {
    return ''
  }
}

// The stamps of files at the time when they were hashed.
const stamps = new WeakMap<FileState, string>()

// The kernel's clock for files advances in steps of up to 10 ms: two changes within one step leave the same stamp.
const CLOCK_STEP_MS = 1_000

/** Undefined when an immediately following change could leave the same stamp. */
async function lastingStampOf(file: FileHandle): Promise<string | undefined> {
  const stats = await file.stat({ bigint: true })
  return Date.now() - Number(stats.ctimeMs) > CLOCK_STEP_MS ? stampOfStats(stats) : undefined
}

function stampOfStats({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string {
  return [dev, ino, size, mtimeNs, ctimeNs].join(':')
}

async function openFile(path: string): Promise<FileHandle | null> {
  try {
    // Non-blocking, or a FIFO put in the file's place would hang us.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}

async function readSocketState(path: string): Promise<FileState | null> {
  try {
    const stats = await stat(path)
    return stats.isSocket() ? fileState(stats, '') : null
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
}

// A configuration file is some hundred bytes; beyond this size only the digest shows a difference.
const MAX_TEXT_BYTES = 64 * 1024

async function beginning(file: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(MAX_TEXT_BYTES)
  const { bytesRead } = await file.read(bytes, 0, MAX_TEXT_BYTES, 0)
  return bytes.toString('utf8', 0, bytesRead)
}

async function digestsOf(
  file: FileHandle,
  algorithms: readonly string[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const hashes = algorithms.map((algorithm) => createHash(algorithm))
  const slice = Buffer.allocUnsafe(SLICE_BYTES)
  for (let at = 0; at < maxHashedBytes;) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(slice, 0, SLICE_BYTES, at)
    if (bytesRead === 0) break
    for (const hash of hashes) hash.update(slice.subarray(0, bytesRead))
    at += bytesRead
  }
  return hashes.map((hash) => hash.digest('hex'))
}

function fileState(stats: Stats, sha256 = ''): FileState {
  return {
    device: stats.dev,
    inode: stats.ino,
    sizeBytes: stats.size,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    sha256,
  }
}
