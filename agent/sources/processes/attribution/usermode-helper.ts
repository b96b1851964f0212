import { type Container, type ContainerView } from '../../../model/container.ts'
import type { HelperPlace, UsermodeHelper } from '../../../model/observation.ts'
import { containerFor } from '../table/describe.ts'
import type { KnownProcess, Membership, Program } from '../table/known-process.ts'
import type { ProcessTable } from '../table/table.ts'

/** Finds containers by their root file systems; knows running containers and the layers of ended ones. */
export type ContainerRoots = {
  byDevice(device: number): Membership | undefined
  /**
   * The owner of the layer that contains a host path: null for an image or an ended container, undefined for no
   * layer.
   */
  byLayer(path: string): Membership | null | undefined
}

export type UsermodeHelperOptions = { table: ProcessTable; containers: ContainerView; roots: ContainerRoots }

/** How the file of a usermode helper belongs to a container; null for a host file. */
export type HelperFile = Pick<UsermodeHelper, 'container' | 'path' | 'via'>

/**
 * Detects usermode helpers, programs that the kernel starts itself (call_usermodehelper() in kernel/umh.c:
 * core_pattern, release_agent, modprobe, uevent_helper). They run as root on the host, and every escape through them
 * ends with a helper whose file the attacker's container can write.
 */
export function usermodeHelpers({ table, containers, roots }: UsermodeHelperOptions) {
  /** A child of kthreadd, or of one of its child threads, which wait for the helper (UMH_WAIT_PROC). */
  function isHelper({ parentPid, membership }: KnownProcess): boolean {
    if (membership !== null) return false
    if (parentPid === kthreadd) return true
    const parent = table.get(parentPid)
    return parent?.parentPid === kthreadd && parent.program().exe === ''
  }

  function fileOf(process: KnownProcess): HelperFile | null {
    const program = process.program()
    const owner = roots.byDevice(process.exeDevice)
    if (owner !== undefined) return found(containerOf(owner), program.argv[0] ?? program.exe, 'root')
    for (const path of pathsOf(program)) {
      const file = containerFileAt(path)
      if (file !== null) return file
    }
    return null
  }

  function containerFileAt(path: string): HelperFile | null {
    const [, pid] = /^\/proc\/(\d+)\//.exec(path) ?? []
    const process = pid === undefined ? undefined : table.get(Number(pid))?.membership
    if (process) return found(containerOf(process), path, 'process')
    const layer = roots.byLayer(path)
    if (layer !== undefined) return found(layer && containerOf(layer), path, 'layer')
    const mounted = isOfHost(path) ? undefined : containers.running().find((one) => canWrite(one, path))
    return mounted === undefined ? null : found(mounted, path, 'volume')
  }

  function containerOf(membership: Membership): Container {
    return containerFor(membership, containers)
  }

  return { isHelper, fileOf }
}

// The kernel's second process creates all kernel threads (rest_init() in init/main.c).
const kthreadd = 2

function found(container: Container | null, path: string, via: HelperPlace): HelperFile {
  return { container, path, via }
}

/**
 * The paths that may name the executed file: argv[0] as the kernel was given it, the resolved executable, and for a
 * script (binfmt_script) the interpreter argument whose file name is the process's comm.
 */
export function pathsOf({ exe, argv, comm }: Pick<Program, 'exe' | 'argv' | 'comm'>): string[] {
  const script = argv
    .slice(1, 3)
    .find((argument) => givesName(argument, comm) && !givesName(argv[0] ?? '', comm))
  return [argv[0] ?? '', exe, script ?? ''].filter((path) => path.startsWith('/'))
}

/** Whether executing this path results in this comm, of at most 15 bytes. */
function givesName(path: string, comm: string): boolean {
  const name = Buffer.from(path.slice(path.lastIndexOf('/') + 1)).subarray(0, 15)
  return comm !== '' && name.equals(Buffer.from(comm))
}

function canWrite({ details }: Container, path: string): boolean {
  return (details?.mounts ?? []).some(
    ({ source, writable }) => writable && source !== '' && path.startsWith(`${source.replace(/\/$/, '')}/`),
  )
}

/** The host's own helpers stay host files, even for a container that mounts the whole host. */
function isOfHost(path: string): boolean {
  return /^\/(?:usr|s?bin|lib(?:32|64|x32)?|etc|opt|snap|nix)\//.test(path)
}
