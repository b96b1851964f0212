import { createHash } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { FileState } from '../model/observation.ts'
import { isAbsent } from './files.ts'

// One slice takes 0.1 to 0.5 ms to hash, far from the 10 ms that may block the loop.
const SLICE_BYTES = 256 * 1024

/** The digest covers this much of a file, so that a sparse file of terabytes cannot keep us busy for ever. */
export const maxHashedBytes = 1024 ** 3

/** What a path leads to now, digest included, or null when that is no regular file or nothing at all. */
export async function readFileState(path: string, signal?: AbortSignal): Promise<FileState | null> {
  let file: FileHandle
  try {
    // Non-blocking, or a FIFO put in the file's place would hang us.
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (isAbsent(error)) return null
    throw error
  }
  try {
    const stats = await file.stat()
    return stats.isFile() ? fileState(stats, await digest(file, signal)) : null
  } finally {
    await file.close()
  }
}

async function digest(file: FileHandle, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  const slice = Buffer.allocUnsafe(SLICE_BYTES)
  for (let at = 0; at < maxHashedBytes;) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(slice, 0, SLICE_BYTES, at)
    if (bytesRead === 0) break
    hash.update(slice.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

function fileState(stats: Stats, sha256: string): FileState {
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
