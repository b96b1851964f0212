import { type Container, type ContainerView } from '../../../model/container.ts'
import type { HelperPlace, UsermodeHelper } from '../../../model/observation.ts'
import { containerFor } from '../table/describe.ts'
import type { KnownProcess, Membership, Program } from '../table/known-process.ts'
import type { ProcessTable } from '../table/table.ts'

/** Where the roots of containers are, as far as they are running or were. */
export type ContainerRoots = {
  byDevice(device: number): Membership | undefined
  /** Whose layer a path of the host lies in: null for an image's or an ended container's, undefined for none. */
  byLayer(path: string): Membership | null | undefined
}

export type HelperWatchOptions = { table: ProcessTable; containers: ContainerView; roots: ContainerRoots }

/** What a program that the kernel ran by itself has to do with containers; null for one of the host. */
export type HelperFile = Pick<UsermodeHelper, 'container' | 'path' | 'via'>

/**
 * Tells of programs that the kernel runs in user mode (call_usermodehelper() of its kernel/umh.c: core_pattern,
 * release_agent, modprobe, uevent_helper): they run as root on the host, and the escapes by way of them all end with
 * one whose file the attacker's container can write.
 */
export function helperWatch({ table, containers, roots }: HelperWatchOptions) {
  /** A child of kthreadd, or of one of its children, which wait for what they run (UMH_WAIT_PROC). */
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
      const file = placeOf(path)
      if (file !== null) return file
    }
    return null
  }

  function placeOf(path: string): HelperFile | null {
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

// The kernel's second process makes all of its threads (rest_init() of its init/main.c).
const kthreadd = 2

function found(container: Container | null, path: string, via: HelperPlace): HelperFile {
  return { container, path, via }
}

/**
 * The paths that say which file was run: as the kernel was given it, as it was found, and, of a script, whose name
 * then is the process's (binfmt_script), the one among the interpreter's arguments.
 */
export function pathsOf({ exe, argv, comm }: Pick<Program, 'exe' | 'argv' | 'comm'>): string[] {
  const script = argv
    .slice(1, 3)
    .find((argument) => isCalled(argument, comm) && !isCalled(argv[0] ?? '', comm))
  return [argv[0] ?? '', exe, script ?? ''].filter((path) => path.startsWith('/'))
}

/** Whether a path's file gives a process that runs it this name, of at most 15 bytes. */
function isCalled(path: string, comm: string): boolean {
  const name = Buffer.from(path.slice(path.lastIndexOf('/') + 1)).subarray(0, 15)
  return comm !== '' && name.equals(Buffer.from(comm))
}

function canWrite({ details }: Container, path: string): boolean {
  return (details?.mounts ?? []).some(
    ({ source, writable }) => writable && source !== '' && path.startsWith(`${source.replace(/\/$/, '')}/`),
  )
}

/** A container that has all of the host mounted makes none of the host's own helpers its own. */
function isOfHost(path: string): boolean {
  return /^\/(?:usr|s?bin|lib(?:32|64|x32)?|etc|opt|snap|nix)\//.test(path)
}
