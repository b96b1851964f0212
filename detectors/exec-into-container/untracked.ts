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
import { type Container, isRootUser } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import { secondLookMs, settledExec } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import { type Entered, entryAct, isEntry, isMonitor, isRuntimeInit, programOf } from './entry.ts'
import { ancestryOf, loginPhrase, loginUserIn } from './lineage.ts'
import { isShell } from './rules.ts'

/** Entries that no exec of the Docker API explains; judged when the engine has had its time to tell of one. */
export function untrackedExecs(
  { processes$, sourceStatuses$, execs }: Pick<Observed, 'processes$' | 'sourceStatuses$' | 'execs'>,
  settleOf: (container: Container) => number,
): Observable<Detection> {
  const isEngineHeard$ = sourceStatuses$.pipe(
    filter(({ source }) => source === 'docker-events'),
    map(({ up }) => up),
    startWith(true),
    share({ connector: () => new ReplaySubject<boolean>(1) }),
  )
  const untracked$ = processes$.pipe(
    filter(isEntry),
    delayWhen(({ container }) => isEngineHeard$.pipe(first(Boolean), delay(settleOf(container)))),
    filter((seen) => !isExplained(seen, execs)),
    delay(secondLookMs),
    delayWhen((seen) => settledExec(seen, execs)),
    filter((seen) => !isExplained(seen, execs)),
    map(describeEntry),
  )
  return merge(isEngineHeard$.pipe(ignoreElements()), untracked$)
}

/**
 * By just this exec, or by one that went on at the time where nothing of who came speaks against it: of a runtime whose
 * arguments were lost only its maker is known, which is the engine's monitor.
 */
function isExplained(seen: Entered, execs: Observed['execs']): boolean {
  const { by } = execs.entryOf(seen)
  if (by !== 'time') return by === 'exec'
  const nearest = seen.origin.by.find((one) => !isRuntimeInit(one))
  return nearest === undefined || (nearest.containerId === null && isMonitor(nearest))
}

function describeEntry(seen: Entered): Detection {
  const { container, process, origin, time } = seen
  const { by, entry, execId } = origin
  const own = by.filter((one) => !isRuntimeInit(one))
  const tool = own.find(({ exe, argv }) => !isShell([exe]) && !isShell(argv)) ?? by[0]
  const name = tool === undefined ? '' : programOf(tool)
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'untracked-exec',
    time,
    container,
    summary: `${name} ran ${clip(commandLine(process.argv), 160)} in ${container.name} as ${asWhom(seen)}, without the Docker API${loginPhrase(by)}`,
    subject: [name, program],
    act: entryAct(seen),
    evidence: {
      argv: clipArgv(process.argv),
      program: clip(process.exe, 1_024),
      pid: process.pid,
      user: userOf(process.containerUid),
      configured_user: container.details?.user,
      tool: name,
      tool_pid: tool?.pid,
      tool_user: tool?.user,
      login_user: loginUserIn(by),
      tool_argv: tool === undefined ? undefined : clipArgv(tool.argv),
      ancestry: ancestryOf(own),
      from_container_id: by.find(({ containerId }) => containerId !== null)?.containerId ?? undefined,
      unknown_exec_id: execId || undefined,
      started_at: isoTime(entry.startedAt),
    },
  }
}

/** Where another user is configured, root is what has to be said of an entry: its other processes go without a finding. */
function asWhom({ container, process: { containerUid } }: Entered): string {
  const configured = container.details?.user ?? ''
  const isExpected = containerUid !== 0 || isRootUser(configured)
  return isExpected ? userOf(containerUid) : `root, where ${clip(configured, 64)} is configured`
}

function userOf(uid: number): string {
  return uid === 0 ? 'root' : `uid ${uid}`
}
