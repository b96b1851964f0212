import type { KnownProcess } from '../table/known-process.ts'
import type { ProcessTable } from '../table/table.ts'

/**
 * Whether a process in a container's namespaces is a hook of its start: run by the runtime's init, which has them
 * before it leaves the host's root and becomes the container's first process (config.md of the OCI runtime
 * specification, POSIX-platform Hooks; nvidia-cdi-hook is one). Its parents say so, not its makers: that process is
 * made by the runtime's init as well, but is a child of the runtime (CLONE_PARENT in runc's nsexec.c).
 */
export function isStartHook({ parentPid }: KnownProcess, table: ProcessTable): boolean {
  let parent = table.get(parentPid)
  for (let depth = 0; depth < maxDepth; depth += 1) {
    // What is in the container itself can call itself what it likes.
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
