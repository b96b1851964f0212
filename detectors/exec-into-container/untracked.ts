import { isoTime } from '../../agent/lib/iso-time.ts'
import {
  delay,
  delayWhen,
  filter,
  first,
  ignoreElements,
  map,
  merge,
  type Observable,
  ReplaySubject,
  share,
  startWith,
} from 'rxjs'
import { entryActor } from '../../agent/model/actor.ts'
import { type Container, isRootUser } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import { recheckDelayMs, settledExec } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { EnteringProcess } from '../../agent/model/observation.ts'
import { clip, clipArgv, quotedCommand } from '../../agent/lib/text.ts'
import { userName, userNameOfId } from '../../agent/model/user-name.ts'
import { unknownCaller } from './caller.ts'
import {
  type Entered,
  entryKey,
  isEntry,
  isMonitor,
  isRuntimeInit,
  programOf,
} from '../../agent/model/entry.ts'
import { commandSubject } from '../../agent/model/process-evidence.ts'
import { timesOfProcess } from '../../agent/model/times.ts'
import { ancestryOf, loginUserIn } from './lineage.ts'
import { isShell } from './rules.ts'

/** Entries that no exec of the Docker API explains; judged after the engine had time to report one. */
export function untrackedExecs(
  { on, execs }: Pick<Observed, 'on' | 'execs'>,
  settleOf: (container: Container) => number,
): Observable<Detection> {
  const isEngineUp$ = on('source-status').pipe(
    filter(({ source }) => source === 'docker-events'),
    map(({ up }) => up),
    startWith(true),
    share({ connector: () => new ReplaySubject<boolean>(1) }),
  )
  const untracked$ = on('process').pipe(
    filter(isEntry),
    delayWhen(({ container }) => isEngineUp$.pipe(first(Boolean), delay(settleOf(container)))),
    filter((seen) => !isExplained(seen, execs)),
    delay(recheckDelayMs),
    delayWhen((seen) => settledExec(seen, execs)),
    filter((seen) => !isExplained(seen, execs)),
    map(describeEntry),
  )
  return merge(isEngineUp$.pipe(ignoreElements()), untracked$)
}

/**
 * Explained by exactly this exec, or by one that was running at the time, if nothing about the process contradicts
 * it: if the runtime's arguments were lost, only its parent is known, and that is the engine's monitor.
 */
function isExplained(seen: Entered, execs: Observed['execs']): boolean {
  const { by } = execs.entryOf(seen)
  if (by !== 'time') return by === 'exec'
  const nearest = seen.origin.by.find((one) => !isRuntimeInit(one))
  return nearest === undefined || (nearest.containerId === null && isMonitor(nearest))
}

function describeEntry(seen: Entered): Detection {
  const { container, process, origin } = seen
  const { by, entry, execId } = origin
  const own = by.filter((one) => !isRuntimeInit(one))
  const tool = own.find(({ exe, argv }) => !isShell([exe]) && !isShell(argv)) ?? by[0]
  const name = tool === undefined ? '' : programOf(tool)
  return {
    rule: 'untracked-exec',
    ...timesOfProcess(seen),
    container,
    summary: summaryOf(seen, name, tool),
    subject: commandSubject(process),
    targetUser: userNameOfId(process.containerUid),
    actor: entryActor(by),
    eventKey: entryKey(seen),
    evidence: {
      argv: clipArgv(process.argv),
      program: clip(process.exe, 1_024),
      pid: process.pid,
      user: userNameOfId(process.containerUid),
      configured_user: container.details?.user,
      tool: name,
      tool_pid: tool?.pid,
      tool_user: tool?.user,
      login_user: loginUserIn(by),
      tool_argv: tool === undefined ? undefined : clipArgv(tool.argv),
      ancestry: ancestryOf(own),
      from_container_id: containerIdIn(by),
      unknown_exec_id: execId || undefined,
      started_at: isoTime(entry.startedAt),
    },
  }
}

function summaryOf(seen: Entered, toolName: string, tool: EnteringProcess | undefined): string {
  const { container, process, origin } = seen
  const user = loginUserIn(origin.by) ?? tool?.user
  const who = user === undefined ? unknownCaller : userName(user)
  const from = containerIdIn(origin.by)
  const place = from === undefined ? 'on the host' : `in container ${from.slice(0, 12)}`
  const means = toolName === '' ? '' : ` with ${toolName}`
  const command = process.argv.length === 0 ? 'a command' : quotedCommand(process.argv)
  return `${who} ${place} entered ${container.name}${means}, bypassing Docker, and ran ${command} as ${runAsPhrase(seen)}`
}

function containerIdIn(by: Entered['origin']['by']): string | undefined {
  return by.find(({ containerId }) => containerId !== null)?.containerId ?? undefined
}

/** Unexpected root is part of the entry: the root processes of an entry have no finding of their own. */
function runAsPhrase({ container, process: { containerUid } }: Entered): string {
  const configured = container.details?.user ?? ''
  const isExpected = containerUid !== 0 || isRootUser(configured)
  return isExpected
    ? userNameOfId(containerUid)
    : `root (${container.name} is configured for ${userName(configured)})`
}
