import { statSync } from 'node:fs'
import type { HostUsers } from '../../../linux/host-users.ts'
import type { Container } from '../../../model/container.ts'
import type { Writer } from '../../../model/observation.ts'
import type { KnownProcess, Program, SeenProcess } from '../../processes/table/known-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import {
  ancestorsOf,
  describeActor,
  readLiving,
  unknownActor,
} from '../../processes/attribution/process-identity.ts'
import { packageManagerName } from '../packages/package-manager.ts'
import type { Identify } from './file-activity.ts'

export type WriterOptions = {
  table: ProcessTable
  /** Reads the kernel's pending events into the table; false when the kernel does not report every process. */
  catchUp: () => boolean
  containerOfPid: (pid: number) => Container | null
  procRoot: string
  users: HostUsers
}

/**
 * Identifies the process that has just changed a file: from /proc while it runs, from the process table after it has
 * exited. The table also knows its ancestors and its container.
 */
export function identifyWriter(options: WriterOptions): Identify {
  const { table, catchUp, containerOfPid, procRoot, users } = options
  return (pid) => {
    if (pid === 0) return { writer: null, container: null }
    const seesAllProcesses = catchUp()
    const running = readLiving(procRoot, pid)
    const known = running === null ? table.latest(pid) : table.find(running)
    // The command line goes a moment before the rest: what is left of a program would hide what the table knows.
    const isEnding = running !== null && running.program().argv.length === 0
    const hasExited =
      running === null || !hasProgram(running) || (isEnding && known !== undefined && hasProgram(known))
    const container = containerOfPid(pid)
    const process = (hasExited ? known : running) ?? running
    const pending =
      seesAllProcesses && hasExited && isExitPending(known)
        ? 'writer'
        : isUnnamed(container)
          ? 'container'
          : null
    if (process === null || (running === null && !hasProgram(process)))
      return { writer: unknownWriter(pid, seesAllProcesses), container, pending }
    const ancestors = ancestorsOf(process, table)
    const writer: Writer = {
      ...describeActor({ pid, startTicks: process.startTicks, uid: process.euid }, process, ancestors, {
        procRoot,
        users,
      }),
      packageManager: nearestPackageManager([
        { ...process, membership: known?.membership ?? null },
        ...ancestors,
      ]),
    }
    return { writer, container, pending }
  }
}

/**
 * An exiting process releases its program before its files, and the closing of its files is the event that we get
 * (`do_exit` of the kernel).
 */
function hasProgram({ program }: Pick<SeenProcess, 'program'>): boolean {
  const { exe, argv } = program()
  return exe !== '' || argv.length > 0
}

/**
 * Whether the exit of a process, and with it everything it did before, has not been reported yet. Kernel threads have
 * no program.
 */
function isExitPending(known: KnownProcess | undefined): boolean {
  return known === undefined || (known.exit === null && hasProgram(known))
}

/** Build steps have no other name. */
function isUnnamed(container: Container | null): boolean {
  return container !== null && container.state === 'unknown' && container.name !== 'build'
}

function unknownWriter(pid: number, seesAllProcesses: boolean): Writer {
  return {
    ...unknownActor(pid),
    packageManager: '',
    unknownBecause: seesAllProcesses
      ? 'it had exited, and the kernel dropped events under load'
      : 'it had exited before it could be inspected',
  }
}

/** The nearest package manager among a process and its ancestors; empty when there is none. */
function nearestPackageManager(
  line: readonly Pick<KnownProcess, 'program' | 'cgroup' | 'membership'>[],
): string {
  for (const { program, membership, cgroup } of line) {
    const name = packageManagerName(program())
    const inContainer = membership !== null || cgroup.ids.length > 0 || cgroup.build !== ''
    if (name !== '' && (!inContainer || isHostFile(program()))) return name
  }
  return ''
}

/**
 * A node agent may change its root to the host's and run the host's package manager from its container. A package
 * manager of the container's image is another file of the same name.
 */
function isHostFile({ exe, exeFile }: Program): boolean {
  try {
    const { dev, ino } = statSync(exe)
    return exeFile !== null && dev === exeFile.device && ino === exeFile.inode
  } catch {
    return false
  }
}
