import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Process } from '../../../model/observation.ts'
import { describeProcess } from '../table/describe.ts'
import { deviceNumber } from '../../../linux/device-number.ts'
import type { KnownProcess } from '../table/known-process.ts'
import type { Surroundings } from './mode.ts'
import { readProcess } from '../table/procfs-process.ts'

export type ProofOptions = {
  /** Looks for the process; where it is left out, news of it must come by themselves. */
  look?: () => Promise<void>
  /** Whether the end of the process and its exit code must be seen as well. */
  exits: boolean
  signal: AbortSignal
  timeoutMs?: number
}

/**
 * Makes a mode prove that it sees: a program with a word in its argv that was never seen before is run, and
 * what the table says of it must be what /proc says. Throws a sentence that names what is wrong.
 */
export async function prove(
  { table, procRoot, bootTime, uidMaps }: Surroundings,
  { look, exits, signal, timeoutMs = 5_000 }: ProofOptions,
): Promise<void> {
  const nonce = `tidewatch-proof-${randomUUID()}`
  // It waits for the end of its input, and then has found nothing: no shell is needed.
  const argv = ['grep', '-q', nonce] as const
  const probe = await start(argv)
  const pid = probe.pid ?? 0
  try {
    const truth = readProcess(procRoot, pid)
    if (truth === null) throw new Error(`the program run as proof is not in ${procRoot}`)
    await look?.()
    const seen = await within(timeoutMs, signal, () => ranProgram(table.find(truth), nonce))
    if (seen === undefined) throw new Error('a program run as proof was not seen')
    const expected = describeProcess(truth, bootTime, uidMaps)
    const wrong = differences(
      { ...expected, argv, parentPid: process.pid },
      describeProcess(seen, bootTime, uidMaps),
      { cgroups: readCgroups(procRoot, pid), devices: readDevices(procRoot) },
    )
    if (!isFileAsRecorded(`${procRoot}/${pid}/exe`, seen)) wrong.push('exeFile')
    if (wrong.length > 0) throw new Error(`a program run as proof was seen with another ${wrong.join(', ')}`)
    probe.stdin?.end()
    if (!exits) return
    const end = await within(timeoutMs, signal, () => seen.exit ?? undefined)
    if (end?.code?.status !== exitStatus) throw new Error('the end of a program run as proof was not seen')
  } finally {
    probe.kill('SIGKILL')
  }
}

// Of a grep that has found nothing; not 0, which is also what a field that was not read holds.
const exitStatus = 1

/** Where a process may rightly be seen, as far as this daemon can tell. */
export type Known = { cgroups: readonly string[]; devices: ReadonlySet<number> }

/** The names of the fields in which a process was seen otherwise than it is. */
export function differences(expected: Process, seen: Process, { cgroups, devices }: Known): string[] {
  return (Object.keys(expected) as (keyof Process)[]).filter((field) => {
    if (field === 'cgroup') return !cgroups.some((path) => seen.cgroup.endsWith(path))
    // stat(2) answers with a device of its own on btrfs, and for some layers of overlayfs.
    if (field === 'exeFile' && !devices.has(expected.exeFile?.device ?? 0)) return seen.exeFile === null
    return serialize(expected[field]) !== serialize(seen[field])
  })
}

/** Whether a record of the program's file, where there is one, agrees with stat(2). */
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
  // A program that ends by itself closes the pipe we would close.
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
  look: () => T | undefined,
): Promise<T | undefined> {
  for (let waitedMs = 0; ; waitedMs += stepMs) {
    const found = look()
    if (found !== undefined || waitedMs >= timeoutMs) return found
    await sleep(stepMs, undefined, { signal })
  }
}

const stepMs = 5

/** Paths in all hierarchies; in a cgroup namespace they start at its root, so they can be ends of paths only. */
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
  const lines = readFileSync(`${procRoot}/self/mountinfo`, 'utf8').trim().split('\n')
  return new Set(
    lines.map((line) => {
      const [major = 0, minor = 0] = (line.split(' ')[2] ?? '').split(':').map(Number)
      return deviceNumber(major, minor)
    }),
  )
}
