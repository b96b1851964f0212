import { type Container, type ContainerView, containerOfId } from '../../../model/container.ts'
import type { FileState, RuntimeFileOpened } from '../../../model/observation.ts'
import { containerFor } from '../../processes/table/describe.ts'
import type { KnownProcess, Membership, SeenProcess } from '../../processes/table/known-process.ts'
import { readProcess } from '../../processes/table/procfs-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import { tryRead, tryReadLink } from '../integrity/files.ts'
import { isMounted, type FileLocation } from '../paths/file-location.ts'

/** A runtime binary and its location within its file system. */
export type WatchedBinary = Pick<FileState, 'device' | 'inode'> & {
  path: string
  location: FileLocation | null
}

/**
 * The container process that opened a file; null for any other process, `gone` for one that exited before it could be
 * inspected.
 */
export type Opener = Omit<RuntimeFileOpened, 'kind' | 'time' | 'path'> | 'gone' | null

export type OpenerOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerView
  containerOfPid: (pid: number) => Container | null
}

/** Identifies the process that opened a runtime binary. */
export function openerResolver({ procRoot, table, containers, containerOfPid }: OpenerOptions) {
  const host = mountNamespace('1') || mountNamespace('self')

  /**
   * A container start causes a dozen opens, all by host processes: their mount namespace is enough to rule them out.
   */
  function resolveRunning(pid: number, file: WatchedBinary): Opener {
    const directory = `${procRoot}/${pid}`
    const own = mountNamespace(String(pid))
    if (own === '') return 'gone'
    if (own === host) return null
    const process = readProcess(procRoot, pid)
    if (process === null) return 'gone'
    const container = containerOfPid(pid)
    if (container === null) return null
    const mountinfo = tryRead(`${directory}/mountinfo`)
    // A process that has exited meanwhile has no mounts, and neither a command line nor an executable.
    if (mountinfo === '') return 'gone'
    // A process may open the file through a mount of its own.
    if (file.location !== null && isMounted(mountinfo, file.location)) return null
    return openerOf(process, container, runs(process, file))
  }

  /** Uses the process table, which remembers exited processes for some seconds. */
  function resolveExited(pid: number, file: WatchedBinary): Opener {
    const process = table.latest(pid)
    if (process === undefined) return null
    return process.membership === null
      ? runtimeOpener(process, file)
      : memberOpener(process, process.membership, file)
  }

  function memberOpener(process: KnownProcess, membership: Membership, file: WatchedBinary): Opener {
    const container = containerFor(membership, containers)
    const { mount } = process.namespaces
    if (mount === 0 || host === `mnt:[${mount}]`) return null
    // The mounts of an exited process are gone; those of the container's first process are usually the same.
    const mountinfo = tryRead(`${procRoot}/${container.details?.pid ?? 0}/mountinfo`)
    if (mountinfo === '' || (file.location !== null && isMounted(mountinfo, file.location))) return null
    return openerOf(process, container, runs(process, file))
  }

  /**
   * A process that exits immediately is usually the runtime itself. The last process that it creates on its way into
   * the container, the one that will become the container's program, is forked without an exec
   * (libcontainer/nsenter/nsexec.c of runc) and has no reason to open the runtime, unless the program that it was
   * asked to run is the runtime.
   */
  function runtimeOpener(process: KnownProcess, file: WatchedBinary): Opener {
    const maker = table.creatorOf(process)
    if (maker?.program !== process.program) return null
    if (process.program().argv[1] !== 'init' || !runs(process, file)) return null
    const container = containerInto(process)
    return container && openerOf(process, container, true)
  }

  /** The container that a runtime is creating or entering, which its own arguments name: `runc … exec … ID`. */
  function containerInto(process: KnownProcess): Container | null {
    for (const { program, membership } of table.ancestors(process)) {
      if (membership !== null) return null
      const id = program().argv.findLast((argument) => /^[0-9a-f]{64}$/.test(argument))
      if (id !== undefined) return containers.get(id) ?? containerOfId(id)
    }
    return null
  }

  function mountNamespace(process: string): string {
    return tryReadLink(`${procRoot}/${process}/ns/mnt`)
  }

  return { resolveRunning, resolveExited }
}

function runs({ program }: SeenProcess, { device, inode }: WatchedBinary): boolean {
  const { exeFile } = program()
  return exeFile?.device === device && exeFile.inode === inode
}

function openerOf(
  { pid, startTicks, euid, program }: SeenProcess,
  container: Container,
  byRuntime: boolean,
): Exclude<Opener, 'gone'> {
  const { exe, argv } = program()
  return { container, opener: { pid, uid: euid, exe, argv }, startTicks, byRuntime }
}
