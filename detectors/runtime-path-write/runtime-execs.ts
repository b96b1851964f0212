import type {
  EventsLost,
  ProcessObservation,
  RuntimeFileObservation,
  SourceStatus,
} from '../../agent/model/observation.ts'
import { isSandboxProgram } from '../../agent/model/sandbox-program.ts'
import { isRuntimeProgram } from '../../agent/model/runtime-program.ts'
import { processEvidence } from '../../agent/model/process-evidence.ts'
import { baseName, clip, commandLine } from '../../agent/lib/text.ts'
import { leadsToRunner } from './attempt-steps.ts'
import type { Attempt } from './attempts.ts'
import { recent } from './recent.ts'

/** What a process of a container is known to have run there. */
type Ran = 'runtime' | 'program'

/**
 * Containers that run the host's runtime. Every start runs it on its way in, so neither its inode nor its name says
 * anything: what counts is that it runs where the container's program ought to, and that no runtime of the container's
 * own (Docker-in-Docker, BuildKit) made it.
 */
export function runtimeExecs() {
  const files = new Map<string, string>()
  const ran = recent<Ran>(maxProcesses)
  let mode = ''
  let lostAt = -Infinity

  function attemptIn(seen: ProcessObservation): Attempt | null {
    const { process, change } = seen
    if (change === 'ids-changed') return null
    const key = keyOf(process.pid, process.startTicks)
    const before = ran.get(key)
    const parent = ran.get(keyOf(process.parentPid))
    const isOfHost = isHostsRuntime(seen)
    ran.set(key, isOwnRuntime(seen) && !isOfHost ? 'runtime' : 'program')
    ran.set(keyOf(process.pid), ran.get(key) ?? 'program')
    if (seen.hostFiles !== null || isSandbox(seen)) return null
    // Seen a while after it happened, it may be the runtime that has yet to become the program.
    if (!isExact(seen) && isOnItsWay(seen)) return null
    const isCopy = isSealedCopy(process.exe) && before !== 'runtime' && parent !== 'runtime'
    const isFirst = before === undefined && parent === undefined && isTop(seen)
    const runsItself = isFirst && isExact(seen) && leadsToRunner(process.argv[0] ?? '')
    return isOfHost || isCopy || runsItself ? attemptOf(seen) : null
  }

  function isHostsRuntime({
    process: { exeFile, exe },
    container: { details },
  }: ProcessObservation): boolean {
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

// Losses are told once a second, and /proc is looked through after that.
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
function isOnItsWay({ process: { argv, startedAt }, time }: ProcessObservation): boolean {
  return argv[1] === 'init' && argv.length === 2 && time - startedAt < onItsWayMs
}

// Milliseconds, unless the disk is slow.
const onItsWayMs = 10_000

/** Nobody in the container made it. */
function isTop({ origin, process, container }: ProcessObservation): boolean {
  if (origin.via === 'entered') return origin.entry.pid === process.pid
  return container.details === null || container.details.pid === 0 || container.details.pid === process.pid
}

/** What runc runs instead of its file: a copy in memory that nobody can write (its libcontainer/nsenter/cloned_binary.c). */
function isSealedCopy(exe: string): boolean {
  return exe.startsWith('/memfd:runc_cloned:')
}

/** A runtime that the container brought along, and what that runs from a copy of itself. */
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
    words: `${container.name} ran the host’s runtime in the place of a program: ${line}`,
    subject: 'runtime',
    key: `${container.id}:${process.pid}:${process.startTicks}`,
    evidence: {
      ...processEvidence(process),
      exec_id: origin.via === 'entered' ? origin.execId || undefined : undefined,
    },
  }
}
