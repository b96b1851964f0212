import { closeSync, openSync, readSync } from 'node:fs'
import type { Writer } from '../model/observation.ts'
import { tryRead, tryReadLink } from './files.ts'

// A caller chooses the size of its argv, up to megabytes; the start of it is what tells something.
const MAX_ARGV_BYTES = 4096

/** Who a process is, as long as it lives; of one that has ended only the pid is known. */
export function readWriter(procRoot: string, pid: number): Writer {
  const process = `${procRoot}/${pid}`
  // Real, effective, saved and file system uid: the effective one is what gave the right to write.
  const uid = /^Uid:\t\d+\t(\d+)/m.exec(tryRead(`${process}/status`))?.[1]
  return {
    pid,
    uid: uid === undefined ? null : Number(uid),
    exe: tryReadLink(`${process}/exe`),
    argv: parseArgv(readStart(`${process}/cmdline`)),
  }
}

/** The arguments in /proc/PID/cmdline: each ends with a NUL, unless the process has written over them. */
export function parseArgv(cmdline: string): string[] {
  if (cmdline === '') return []
  return cmdline.replace(/\0$/, '').split('\0')
}

function readStart(path: string): string {
  try {
    const fd = openSync(path, 'r')
    try {
      const bytes = Buffer.alloc(MAX_ARGV_BYTES)
      return bytes.toString('utf8', 0, readSync(fd, bytes))
    } finally {
      closeSync(fd)
    }
  } catch {
    return ''
  }
}
