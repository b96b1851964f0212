import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Process } from '../../../model/observation.ts'
import { describeProcess } from '../table/describe.ts'
import { parseMounts } from '../../../linux/mountinfo.ts'
import type { KnownProcess } from '../table/known-process.ts'
import type { ModeContext } from './mode.ts'
import { readProcess } from '../table/procfs-process.ts'

export type SelfTestOptions = {
  /** Scans for the process; if omitted, events must arrive on their own. */
  scan?: () => Promise<void>
  /** Whether the exit of the process and its exit code must be seen as well. */
  exits: boolean
  signal: AbortSignal
  timeoutMs?: number
}

/**
 * Verifies a mode: runs a program with a unique word in its argv, and compares its table entry with /proc. Throws an
 * error that names the difference.
 */
export async function runSelfTest(
  { table, procRoot, bootTime, uidMaps }: ModeContext,
  { scan, exits, signal, timeoutMs = 5_000 }: SelfTestOptions,
): Promise<void> {
  const nonce = `tidewatch-proof-${randomUUID()}`
  // It waits for the end of its input and then exits without a match: no shell is needed.
  const argv = ['grep', '-q', nonce] as const
  const probe = await start(argv)
  const pid = probe.pid ?? 0
  try {
    const truth = readProcess(procRoot, pid)
    if (truth === null) throw new Error(`the self-test program is missing from ${procRoot}`)
    await scan?.()
    const seen = await within(timeoutMs, signal, () => ranProgram(table.find(truth), nonce))
    if (seen === undefined) throw new Error('the self-test program was not seen')
    const expected = describeProcess(truth, bootTime, uidMaps)
    const wrong = differences(
      { ...expected, argv, parentPid: process.pid },
      describeProcess(seen, bootTime, uidMaps),
      { cgroups: readCgroups(procRoot, pid), devices: readDevices(procRoot) },
    )
    if (!isFileAsRecorded(`${procRoot}/${pid}/exe`, seen)) wrong.push('exeFile')
    if (wrong.length > 0)
      throw new Error(`the self-test program was reported with a wrong ${wrong.join(', ')}`)
    probe.stdin?.end()
    if (!exits) return
    const end = await within(timeoutMs, signal, () => seen.exit ?? undefined)
    if (end?.code?.status !== exitStatus) throw new Error('the exit of the self-test program was not seen')
  } finally {
    probe.kill('SIGKILL')
  }
}

// The exit status of grep without a match; not 0, which an unread field would also contain.
const exitStatus = 1

/** The cgroup paths and devices that are correct for the test process. */
export type Valid = { cgroups: readonly string[]; devices: ReadonlySet<number> }

/** The names of the fields that differ from the actual process. */
export function differences(expected: Process, seen: Process, { cgroups, devices }: Valid): string[] {
  return (Object.keys(expected) as (keyof Process)[]).filter((field) => {
    if (field === 'cgroup') return !cgroups.some((path) => seen.cgroup.endsWith(path))
    // stat(2) returns a synthetic device on btrfs and for some layers of overlayfs.
    if (field === 'exeFile' && !devices.has(expected.exeFile?.device ?? 0)) return seen.exeFile === null
    return serialize(expected[field]) !== serialize(seen[field])
  })
}

/** Whether the exec record of the program's file, if present, agrees with stat(2). */
function isFileAsRecorded(path: string, { atExec }: KnownProcess): boolean {
  if (atExec === null) return true
  const { uid, mode } = statSync(path)
  return atExec.owner === uid && atExec.mode === (mode & 0o7777)
}

function serialize(value: Process[keyof Process]): string {
  return JSON.stringify(typeof value === 'bigint' ? String(value) : value)
}

async function start(argv: readonly [string, ...string[]]): Promise<ChildProcess> {
  const [program, ...args] = argv
  const probe = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {} })
  // If the program exits early, the pipe is already closed.
  probe.stdin.on('error', () => undefined)
  await once(probe, 'spawn')
  return probe
}

function ranProgram(process: KnownProcess | undefined, nonce: string): KnownProcess | undefined {
  return process?.program().argv.includes(nonce) === true ? process : undefined
}

async function within<T>(
  timeoutMs: number,
  signal: AbortSignal,
  find: () => T | undefined,
): Promise<T | undefined> {
  for (let waitedMs = 0; ; waitedMs += stepMs) {
    const found = find()
    if (found !== undefined || waitedMs >= timeoutMs) return found
    await sleep(stepMs, undefined, { signal })
  }
}

const stepMs = 5

/** Paths in all hierarchies; in a cgroup namespace they are relative to its root, so they may only be suffixes. */
function readCgroups(procRoot: string, pid: number): string[] {
  const lines = readFileSync(`${procRoot}/${pid}/cgroup`, 'utf8').trim().split('\n')
  return lines.map((line) =>
    line
      .split(':')
      .slice(2)
      .join(':')
      .replace(/^(?:\/\.\.)+/, '')
      .replace(/^\/$/, ''),
  )
}

/** Devices of mounted file systems, encoded as stat(2) does. */
function readDevices(procRoot: string): ReadonlySet<number> {
  return new Set(parseMounts(readFileSync(`${procRoot}/self/mountinfo`, 'utf8')).map(({ device }) => device))
}
