import { type Container, type ContainerView, unknownContainer } from '../../../model/container.ts'
import type { FileState, RuntimeFileOpened } from '../../../model/observation.ts'
import { containerFor } from '../../processes/table/describe.ts'
import type { KnownProcess, Membership, SeenProcess } from '../../processes/table/known-process.ts'
import { readProcess } from '../../processes/table/procfs-process.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import { tryRead, tryReadLink } from '../integrity/files.ts'
import { isMounted, type Place } from '../paths/file-location.ts'

/** A runtime file, and where in its file system it is. */
export type Opened = Pick<FileState, 'device' | 'inode'> & { path: string; place: Place | null }

/** Who opened a file, as far as it is of a container; `gone` for one that ended before it could be looked at. */
export type Opener = Omit<RuntimeFileOpened, 'kind' | 'time' | 'path'> | 'gone' | null

export type OpenersOptions = {
  procRoot: string
  table: ProcessTable
  containers: ContainerView
  containerOfPid: (pid: number) => Container | null
}

/** Finds out who has opened a runtime file. */
export function openers({ procRoot, table, containers, containerOfPid }: OpenersOptions) {
  const host = mountNamespace('1') || mountNamespace('self')

  /** A start has a dozen opens, all by processes of the host: told by one look at the mount namespace. */
  function living(pid: number, file: Opened): Opener {
    const directory = `${procRoot}/${pid}`
    const own = mountNamespace(String(pid))
    if (own === '') return 'gone'
    if (own === host) return null
    const process = readProcess(procRoot, pid)
    if (process === null) return 'gone'
    const container = containerOfPid(pid)
    if (container === null) return null
    // Through a mount of its own it does what it may.
    if (file.place !== null && isMounted(tryRead(`${directory}/mountinfo`), file.place)) return null
    return openerOf(process, container, runs(process, file))
  }

  /** By the process table, which knows the dead for some seconds. */
  function remembered(pid: number, file: Opened): Opener {
    const process = table.latest(pid)
    if (process === undefined) return null
    return process.membership === null
      ? runtimeItself(process, file)
      : member(process, process.membership, file)
  }

  function member(process: KnownProcess, membership: Membership, file: Opened): Opener {
    const container = containerFor(membership, containers)
    const { mount } = process.namespaces
    if (mount === 0 || host === `mnt:[${mount}]`) return null
    // Its own mounts went with it; those of the container's first process are most often the same.
    const mountinfo = tryRead(`${procRoot}/${container.details?.pid ?? 0}/mountinfo`)
    if (mountinfo === '' || (file.place !== null && isMounted(mountinfo, file.place))) return null
    return openerOf(process, container, runs(process, file))
  }

  /**
   * What ends at once is most often the runtime itself. The last of the processes that it makes on its way in, which is
   * to become the container's program, is forked and not run (libcontainer/nsenter/nsexec.c of runc), and has no reason
   * to open the runtime: unless what it was told to run is the runtime.
   */
  function runtimeItself(process: KnownProcess, file: Opened): Opener {
    const maker = table.makerOf(process)
    if (maker?.program !== process.program) return null
    if (process.program().argv[1] !== 'init' || !runs(process, file)) return null
    const container = containerInto(process)
    return container && openerOf(process, container, true)
  }

  /** The container that a runtime is making or entering, which its own arguments name: `runc … exec … ID`. */
  function containerInto(process: KnownProcess): Container | null {
    for (const { program, membership } of table.ancestors(process)) {
      if (membership !== null) return null
      const id = program().argv.findLast((argument) => /^[0-9a-f]{64}$/.test(argument))
      if (id !== undefined) return containers.get(id) ?? unknownContainer(id, id.slice(0, 12))
    }
    return null
  }

  function mountNamespace(process: string): string {
    return tryReadLink(`${procRoot}/${process}/ns/mnt`)
  }

  return { living, remembered }
}

function runs({ program }: SeenProcess, { device, inode }: Opened): boolean {
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
