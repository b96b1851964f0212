import { callerActor, targetUserOf } from '../../agent/model/actor.ts'
import type {
  Caller,
  ContainerObservation,
  ExecObservation,
  RuntimeFileOpened,
} from '../../agent/model/observation.ts'
import { userNameOfId } from '../../agent/model/user-name.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import type { Attempt } from './attempts.ts'

/**
 * Whether a path refers to the executable of the process that opens it: for a runtime entering a container, to the
 * runtime.
 */
export function isOwnExecutable(path: string): boolean {
  return /^\/+proc\/+(?:self|thread-self|\d+)\/+(?:task\/+\d+\/+)?exe$/.test(path)
}

/** A container that is configured to execute the runtime itself. */
export function configuredAttempt({ container, time }: ContainerObservation): Attempt | null {
  const command = container.details?.command ?? []
  if (!isOwnExecutable(command[0] ?? '')) return null
  return {
    step: 'configured',
    time,
    container,
    summary: `${container.name} is configured to execute the runtime itself: \`${clip(commandLine(command), 160)}\``,
    subject: [...command, 'entry point'],
    key: `entry-point:${container.id}`,
    evidence: { command: clipArgv(command) },
  }
}

/** An exec that asks for the same; `caller` is null if it is not known yet. */
export function requestedAttempt(
  { container, time, argv, execId, settings }: ExecObservation,
  caller: Caller | null = null,
): Attempt | null {
  // If the engine could not be asked about the exec, `argv` is a single string from its event.
  if (!isOwnExecutable((argv[0] ?? '').split(' ')[0] ?? '')) return null
  return {
    step: 'requested',
    time,
    container,
    summary: `an exec in ${container.name} requested the runtime itself: \`${clip(commandLine(argv), 160)}\``,
    subject: [...argv, 'exec'],
    ...(settings !== null && { targetUser: targetUserOf(settings.user) }),
    actor: callerActor(caller),
    key: `exec:${container.id}:${execId === '' ? time : execId}`,
    evidence: { argv: clipArgv(argv), exec_id: execId },
  }
}

/**
 * A process that opened the runtime. In the host's pid namespace the runtime is always visible, and profilers and
 * scanners read every program there. In a container's own pid namespace it is visible only while it enters.
 */
export function openedAttempt(seen: RuntimeFileOpened): Attempt | null {
  const { container, time, path, opener, startTicks, byRuntime } = seen
  if (!byRuntime && container.details?.pidMode === 'host') return null
  const program = baseName(opener.exe || (opener.argv[0] ?? '')) || 'a process'
  return {
    step: 'opened',
    time,
    container,
    summary: byRuntime
      ? `${container.name} tricked ${path} into executing itself (CVE-2019-5736 pattern)`
      : `${program} (pid ${opener.pid}) in ${container.name} opened the runtime ${path} through /proc`,
    // Its arguments are left out: a search of /proc has another PID in each.
    subject: [byRuntime ? 'runtime' : opener.exe || program, path],
    targetUser: userNameOfId(opener.uid),
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
