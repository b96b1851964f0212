import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

export type FakeProcess = {
  pid: number
  parentPid?: number
  session?: number
  startTicks?: number
  comm?: string
  state?: string
  argv?: readonly string[]
  uid?: number
  euid?: number
  cgroup?: string
  mountNamespace?: number
  /** The pid of its process, if it is a secondary thread. */
  threadOf?: number
}

/** A fake /proc directory with the processes that a test adds. */
export async function fakeProc(t: ExecutionContext) {
  const root = await mkdtemp(join(tmpdir(), 'tidewatch-proc-'))
  t.teardown(() => rm(root, { recursive: true, force: true }))
  const exe = join(root, 'program')
  await writeFile(exe, '')

  async function add(process: FakeProcess): Promise<void> {
    const {
      pid,
      argv = ['app'],
      uid = 0,
      euid = uid,
      cgroup = '/',
      mountNamespace = 1,
      threadOf = pid,
    } = process
    const directory = join(root, String(pid))
    await rm(directory, { recursive: true, force: true })
    await mkdir(join(directory, 'ns'), { recursive: true })
    await writeFile(join(directory, 'stat'), procStat(process))
    await writeFile(
      join(directory, 'status'),
      `Name:\tapp\nTgid:\t${threadOf}\nUid:\t${uid}\t${euid}\t${euid}\t${euid}\nGid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\n`,
    )
    await writeFile(join(directory, 'cgroup'), `0::${cgroup}\n`)
    await writeFile(join(directory, 'cmdline'), argv.map((argument) => `${argument}\0`).join(''))
    await symlink(exe, join(directory, 'exe'))
    await symlink('/', join(directory, 'cwd'))
    for (const [name, number] of [
      ['mnt', mountNamespace],
      ['pid', mountNamespace + 1],
      ['user', 3],
    ] as const) {
      await symlink(`${name}:[${number}]`, join(directory, 'ns', name))
    }
  }

  const remove = (pid: number) => rm(join(root, String(pid)), { recursive: true })
  return { root, exe, add, remove }
}

/** A line of /proc/PID/stat. */
export function procStat({
  pid = 1,
  parentPid = 1,
  session = 1,
  startTicks = 1,
  comm = 'app',
  state = 'S',
}: Partial<FakeProcess>): string {
  // The other fields are not used.
  return `${pid} (${comm}) ${state} ${parentPid} 0 ${session} ${'0 '.repeat(15)}${startTicks} 4096 100\n`
}
