import type {
  EventsLost,
  ProcessObservation,
  RuntimeFileObservation,
  SourceStatus,
} from '../../agent/model/observation.ts'
import { isSandboxProgram } from '../../agent/model/sandbox-program.ts'
import { isRuntimeProgram } from '../../agent/model/runtime-program.ts'
import { processEvidence } from '../../agent/model/process-evidence.ts'
import { userNameOfId } from '../../agent/model/user-name.ts'
import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import { baseName, clip, commandLine } from '../../agent/lib/text.ts'
import { isOwnExecutable } from './attempt-steps.ts'
import type { Attempt } from './attempts.ts'

/** What a process of a container last executed there. */
type Ran = 'runtime' | 'program'

/**
 * Containers that execute the host's runtime. Every start executes it on its way into the container, so neither its
 * inode nor its name proves anything. What counts is that it runs instead of the container's program, and that no
 * runtime inside the container (Docker-in-Docker, BuildKit) started it.
 */
export function runtimeExecs() {
  const files = new Map<string, string>()
  const ran = new BoundedMap<string, Ran>(maxProcesses)
  let mode = ''
  let lostAt = -Infinity

  function attemptIn(seen: ProcessObservation): Attempt | null {
    const { process, change } = seen
    if (change === 'ids-changed') return null
    const key = keyOf(process.pid, process.startTicks)
    const before = ran.get(key)
    const parent = ran.get(keyOf(process.parentPid))
    const isHost = isHostRuntime(seen)
    ran.setNewest(key, isOwnRuntime(seen) && !isHost ? 'runtime' : 'program')
    ran.setNewest(keyOf(process.pid), ran.get(key) ?? 'program')
    if (seen.hostFiles !== null || isSandbox(seen)) return null
    // Observed with a delay, it may be the runtime before it executes the container's program.
    if (!isExact(seen) && isEntering(seen)) return null
    const isCopy = isSealedCopy(process.exe) && before !== 'runtime' && parent !== 'runtime'
    const isFirst = before === undefined && parent === undefined && isTopLevel(seen)
    const runsItself = isFirst && isExact(seen) && isOwnExecutable(process.argv[0] ?? '')
    return isHost || isCopy || runsItself ? attemptOf(seen) : null
  }

  function isHostRuntime({ process: { exeFile, exe }, container: { details } }: ProcessObservation): boolean {
    if (exeFile === null || exe === engineInit) return false
    const isKnown = [...files.values()].includes(`${exeFile.device}:${exeFile.inode}`)
    return isKnown && !(details?.mounts ?? []).some(({ destination }) => isAtOrBelow(exe, destination))
  }

  function isExact({ change, time }: ProcessObservation): boolean {
    return change === 'executed' && mode === 'ebpf' && time - lostAt > unsureMs
  }

  return {
    attemptIn,
    file(seen: RuntimeFileObservation): void {
      const { path, after } = seen
      if (after === null || !isRuntimeProgram(seen)) files.delete(path)
      else files.set(path, `${after.device}:${after.inode}`)
    },
    status({ source, mode: now }: SourceStatus): void {
      if (source === 'processes') mode = now
    },
    lost({ source, time }: EventsLost): void {
      if (source === 'processes') lostAt = time
    },
  }
}

// Losses are reported once a second, and /proc is scanned after that.
const unsureMs = 5_000
const maxProcesses = 16_384

// What `docker run --init` mounts into the container (moby's daemon/oci_linux.go).
const engineInit = '/sbin/docker-init'

function keyOf(pid: number, startTicks?: number): string {
  return startTicks === undefined ? String(pid) : `${pid}:${startTicks}`
}

function isSandbox({ process, container }: ProcessObservation): boolean {
  return isSandboxProgram(container.details?.runtime ?? '') || isSandboxProgram(process.exe)
}

/** The runtime's own processes in the container, before the last exec (libcontainer/nsenter/nsexec.c of runc). */
function isEntering({ process: { argv, startedAt }, time }: ProcessObservation): boolean {
  return argv[1] === 'init' && argv.length === 2 && time - startedAt < enteringMs
}

// It takes milliseconds, unless the disk is slow.
const enteringMs = 10_000

/** Whether no other process in the container started it. */
function isTopLevel({ origin, process, container }: ProcessObservation): boolean {
  if (origin.via === 'entered') return origin.entry.pid === process.pid
  return container.details === null || container.details.pid === 0 || container.details.pid === process.pid
}

/** What runc executes instead of its file: a sealed copy in memory (libcontainer/nsenter/cloned_binary.c of runc). */
function isSealedCopy(exe: string): boolean {
  return exe.startsWith('/memfd:runc_cloned:')
}

/** A runtime inside the container's files, or a sealed copy that such a runtime executes. */
function isOwnRuntime({ process: { exe, argv } }: ProcessObservation): boolean {
  const name = baseName(exe.replace(/ \(deleted\)$/, ''))
  return (
    /^(?:(?:.*-)?runc|crun|youki|(?:.*-)?containerd-shim.*)$/.test(name) ||
    (isSealedCopy(exe) && argv[1] === 'init')
  )
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder.replace(/\/$/, '')}/`)
}

function attemptOf({ process, container, origin, time }: ProcessObservation): Attempt {
  const line = clip(commandLine(process.argv), 160)
  return {
    step: 'executed',
    time,
    container,
    summary: `${container.name} executed the host’s runtime instead of its own program: \`${line}\``,
    // One attack executes the runtime several times, with other arguments each.
    subject: ['runtime'],
    targetUser: userNameOfId(process.containerUid),
    key: `${container.id}:${process.pid}:${process.startTicks}`,
    evidence: {
      ...processEvidence(process),
      exec_id: origin.via === 'entered' ? origin.execId || undefined : undefined,
    },
  }
}
