import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs'
import type { ExecutableFile, Namespaces } from '../../../model/observation.ts'
import { isProcessGone } from '../../../lib/errors.ts'
import { parseCgroupFile } from '../attribution/cgroup.ts'
import type { Ids, Program, SeenProcess } from './known-process.ts'

/** Reads a process from /proc; null if it exited before it was read completely. */
export function readProcess(procRoot: string, pid: number): SeenProcess | null {
  const directory = `${procRoot}/${pid}`
  try {
    const stat = readStat(procRoot, pid)
    const ids = parseStatus(readFileSync(`${directory}/status`, 'latin1'))
    const cgroup = parseCgroupFile(readFileSync(`${directory}/cgroup`, 'utf8'))
    if (stat === null || ids === null || stat.ended) return null
    const program = readProgram(directory, stat.comm)
    const namespaces = readNamespaces(directory)
    // The pid may have been reused between the first file and the last.
    if (readStat(procRoot, pid)?.startTicks !== stat.startTicks) return null
    const { startTicks, parentPid } = stat
    const exeDevice = program.exeFile?.device ?? 0
    const files = { program: () => program, exeDevice, rootDevice: 0, atExec: null }
    return { pid, startTicks, parentPid, ...ids, namespaces, cgroup, ...files }
  } catch (error) {
    if (isProcessGone(error)) return null
    throw error
  }
}

/** Reads what identifies a process and its program; null if it has exited. */
export function readStat(procRoot: string, pid: number): ProcStat | null {
  try {
    return parseStat(readFileSync(`${procRoot}/${pid}/stat`, 'latin1'))
  } catch (error) {
    if (isProcessGone(error)) return null
    throw error
  }
}

/** The current pids, unordered. */
export function readPids(procRoot: string): number[] {
  return readdirSync(procRoot).flatMap((name) => (/^\d+$/.test(name) ? Number(name) : []))
}

/** Numbers of a process's namespaces; 0 for each that may not be read. */
export function readNamespaces(directory: string): Namespaces {
  return {
    mount: namespaceNumber(`${directory}/ns/mnt`),
    pid: namespaceNumber(`${directory}/ns/pid`),
    user: namespaceNumber(`${directory}/ns/user`),
  }
}

/** `ended`: a zombie that its parent has not waited for. */
export type ProcStat = {
  comm: string
  parentPid: number
  /** The pid of its session leader, which may have exited. */
  session: number
  startTicks: number
  ended: boolean
}

/** Parses /proc/PID/stat. The name is in parentheses and may itself contain parentheses, blanks and line breaks. */
export function parseStat(text: string): ProcStat | null {
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  if (open < 0 || close < open) return null
  // Fields 3, 4, … of proc_pid_stat(5): state, ppid, pgrp, session and, as the 22nd, starttime.
  const fields = text.slice(close + 2).split(' ')
  const parentPid = Number(fields[1])
  const session = Number(fields[3])
  const startTicks = Number(fields[19])
  if (![parentPid, session, startTicks].every(Number.isSafeInteger)) return null
  const comm = Buffer.from(text.slice(open + 1, close), 'latin1').toString()
  return { comm, parentPid, session, startTicks, ended: /^[ZX]$/.test(fields[0] ?? '') }
}

/** Parses the ids and effective capabilities of /proc/PID/status. */
export function parseStatus(text: string): Ids | null {
  // The name is escaped, so a line break in it cannot forge one of these lines.
  const uids = /\nUid:\t(\d+)\t(\d+)/.exec(text)
  const gids = /\nGid:\t(\d+)/.exec(text)
  const capabilities = /\nCapEff:\t([0-9a-f]{1,16})/.exec(text)
  if (uids === null || gids === null || capabilities === null) return null
  return {
    uid: Number(uids[1]),
    euid: Number(uids[2]),
    gid: Number(gids[1]),
    capabilities: Number.parseInt(capabilities[1] ?? '', 16),
  }
}

/** Splits the bytes of /proc/PID/cmdline after cutting them to `limit`. */
export function parseArgv(bytes: Buffer, limit = argvLimit): { argv: string[]; argvTruncated: boolean } {
  const argvTruncated = bytes.length > limit
  const kept = bytes.subarray(0, limit)
  return { argv: splitArgv(kept.toString()), argvTruncated }
}

/** Each argument ends with a NUL, except a last one that the process has overwritten or that was cut. */
export function splitArgv(text: string): string[] {
  if (text === '') return []
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0')
}

/** Maximum argv bytes in every mode. */
export const argvLimit = 2_048

function readProgram(directory: string, comm: string): Program {
  return {
    comm,
    exe: readLink(`${directory}/exe`),
    exeTruncated: false,
    exeFile: readFileIdentity(`${directory}/exe`),
    ...parseArgv(readStart(`${directory}/cmdline`, argvLimit + 1)),
    workingDirectory: readLink(`${directory}/cwd`),
  }
}

// A kernel thread has no executable, and another user's needs CAP_SYS_PTRACE: unknown in both cases.
function readLink(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}

function readFileIdentity(path: string): ExecutableFile | null {
  try {
    const { dev, ino } = statSync(path)
    return { device: dev, inode: ino }
  } catch {
    return null
  }
}

function namespaceNumber(path: string): number {
  return Number(/\[(\d+)\]/.exec(readLink(path))?.[1] ?? 0)
}

/** Reads the first bytes of a file whose size the process controls. */
function readStart(path: string, length: number): Buffer {
  const fd = openSync(path, 'r')
  try {
    const bytes = Buffer.allocUnsafe(length)
    let filled = 0
    while (filled < length) {
      const count = readSync(fd, bytes, filled, length - filled, null)
      if (count === 0) break
      filled += count
    }
    return bytes.subarray(0, filled)
  } finally {
    closeSync(fd)
  }
}
