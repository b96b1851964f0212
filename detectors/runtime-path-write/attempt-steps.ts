import type {
  ContainerObservation,
  ExecObservation,
  RuntimeFileOpened,
} from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import type { Attempt } from './attempts.ts'

/** Whether a path leads to whatever runs it: for the runtime on its way into a container, to the runtime. */
export function leadsToRunner(path: string): boolean {
  return /^\/+proc\/+(?:self|thread-self|\d+)\/+(?:task\/+\d+\/+)?exe$/.test(path)
}

/** A container that is to run the runtime itself. */
export function configuredAttempt({ container, time }: ContainerObservation): Attempt | null {
  const command = container.details?.command ?? []
  if (!leadsToRunner(command[0] ?? '')) return null
  return {
    step: 'configured',
    time,
    container,
    words: `${container.name} is configured to run ${clip(commandLine(command), 160)}: the runtime itself`,
    subject: 'entry point',
    key: `entry-point:${container.id}`,
    evidence: { command: clipArgv(command) },
  }
}

/** An exec that is to do so. */
export function requestedAttempt({ container, time, argv, execId }: ExecObservation): Attempt | null {
  // Of an exec that the engine could not be asked about, the event's words are all there is: `argv` is one text.
  if (!leadsToRunner((argv[0] ?? '').split(' ')[0] ?? '')) return null
  return {
    step: 'requested',
    time,
    container,
    words: `an exec in ${container.name} is to run ${clip(commandLine(argv), 160)}: the runtime itself`,
    subject: 'exec',
    key: `exec:${container.id}:${execId === '' ? time : execId}`,
    evidence: { argv: clipArgv(argv), exec_id: execId },
  }
}

/**
 * Somebody who has opened the runtime. In the host's pid namespace it is visible at all times, and profilers and
 * scanners read every program there; in a container's own it shows for the moment in which it enters.
 */
export function openedAttempt(seen: RuntimeFileOpened): Attempt | null {
  const { container, time, path, opener, startTicks, byRuntime } = seen
  if (!byRuntime && container.details?.pidMode === 'host') return null
  const program = baseName(opener.exe || (opener.argv[0] ?? '')) || 'a process'
  return {
    step: 'opened',
    time,
    container,
    words: byRuntime
      ? `the runtime at ${path} was led to run itself in ${container.name}`
      : `${program} (pid ${opener.pid}) in ${container.name} opened the runtime at ${path} through /proc`,
    subject: byRuntime ? 'runtime' : program,
    key: `${container.id}:${opener.pid}:${startTicks}`,
    evidence: {
      path,
      pid: opener.pid,
      uid: opener.uid,
      ...(opener.exe !== '' && { program: clip(opener.exe, 1_024) }),
      argv: clipArgv(opener.argv),
      by_runtime: byRuntime,
      ...(byRuntime && container.details !== null && { command: clipArgv(container.details.command) }),
    },
  }
}
