import type { KnownProcess } from '../table/known-process.ts'
import type { ProcessTable } from '../table/table.ts'

/**
 * Whether a process in a container's namespaces is a start hook: the runtime's init runs hooks inside the namespaces
 * before it leaves the host's root and becomes the container's first process (config.md of the OCI runtime
 * specification, POSIX-platform Hooks; for example nvidia-cdi-hook). Decided by parents, not creators: the container's
 * first process is also created by the runtime's init, but is a child of the runtime (CLONE_PARENT in runc's nsexec.c).
 */
export function isStartHook({ parentPid }: KnownProcess, table: ProcessTable): boolean {
  let parent = table.get(parentPid)
  for (let depth = 0; depth < maxDepth; depth += 1) {
    // A process in the container can choose its own name.
    if (parent === undefined || parent.membership !== null) return false
    if (isRuntimeInit(parent)) return true
    parent = table.get(parent.parentPid)
  }
  return false
}

// A hook may be a script that runs scripts.
const maxDepth = 8

function isRuntimeInit({ program }: KnownProcess): boolean {
  const [name = '', verb] = program().argv
  return verb === 'init' && /(?:^|[/-])(?:runc|crun|youki)$/.test(name)
}
