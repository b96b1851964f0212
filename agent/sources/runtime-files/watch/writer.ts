import { statSync } from 'node:fs'
import type { HostUsers } from '../../../linux/host-users.ts'
import type { Container } from '../../../model/container.ts'
import type { Writer } from '../../../model/observation.ts'
import type { KnownProcess, Program, SeenProcess } from '../../processes/table/known-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import {
  ancestorsOf,
  describeWho,
  readLiving,
  unknownWho,
} from '../../processes/attribution/process-identity.ts'
import { packageManagerName } from '../packages/package-manager.ts'
import type { Identify } from './file-activity.ts'

export type WriterOptions = {
  table: ProcessTable
  /** Takes into the table what the kernel has told already; false where it does not tell of every process. */
  catchUp: () => boolean
  containerOfPid: (pid: number) => Container | null
  procRoot: string
  users: HostUsers
}

/**
 * Says who has just touched a file: by /proc while it lives, by the process table when it is gone, which also
 * knows its ancestors and its container.
 */
export function identifyWriter(options: WriterOptions): Identify {
  const { table, catchUp, containerOfPid, procRoot, users } = options
  return (pid) => {
    if (pid === 0) return { writer: null, container: null }
    const tellsAll = catchUp()
    const living = readLiving(procRoot, pid)
    const known = living === null ? table.latest(pid) : table.find(living)
    const ended = living === null || !hasProgram(living)
    const container = containerOfPid(pid)
    const process = (ended ? known : living) ?? living
    const pending =
      tellsAll && ended && isBeingTold(known) ? 'writer' : isUnnamed(container) ? 'container' : null
    if (process === null || (living === null && !hasProgram(process)))
      return { writer: unknownWriter(pid, tellsAll), container, pending }
    const ancestors = ancestorsOf(process, table)
    const writer: Writer = {
      ...describeWho({ pid, startTicks: process.startTicks, uid: process.euid }, process, ancestors, {
        procRoot,
        users,
      }),
      packageManager: managerAmong([{ ...process, membership: known?.membership ?? null }, ...ancestors]),
    }
    return { writer, container, pending }
  }
}

/** A process that ends gives up its program before its files, whose closing is what we are told of (`do_exit` of the kernel). */
function hasProgram({ program }: Pick<SeenProcess, 'program'>): boolean {
  const { exe, argv } = program()
  return exe !== '' || argv.length > 0
}

/** Whether its end, and with it all that it did before, has yet to be told; what the kernel runs itself has no program. */
function isBeingTold(known: KnownProcess | undefined): boolean {
  return known === undefined || (known.exit === null && hasProgram(known))
}

/** Steps of a build have no other name. */
function isUnnamed(container: Container | null): boolean {
  return container !== null && container.state === 'unknown' && container.name !== 'build'
}

function unknownWriter(pid: number, tellsAll: boolean): Writer {
  return {
    ...unknownWho(pid),
    packageManager: '',
    unknownBecause: tellsAll
      ? 'it has ended, and more was going on than the kernel could tell of'
      : 'it had ended before anybody looked at it',
  }
}

/** The nearest package manager of a line of processes; empty where there is none. */
function managerAmong(line: readonly Pick<KnownProcess, 'program' | 'cgroup' | 'membership'>[]): string {
  for (const { program, membership, cgroup } of line) {
    const name = packageManagerName(program())
    const inContainer = membership !== null || cgroup.ids.length > 0 || cgroup.build !== ''
    if (name !== '' && (!inContainer || isHostFile(program()))) return name
  }
  return ''
}

/**
 * A node agent changes its root to the host's and runs the host's package manager from its container; what a
 * container brings along under the same name is another file.
 */
function isHostFile({ exe, exeFile }: Program): boolean {
  try {
    const { dev, ino } = statSync(exe)
    return exeFile !== null && dev === exeFile.device && ino === exeFile.inode
  } catch {
    return false
  }
}
