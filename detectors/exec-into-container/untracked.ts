import { isoTime } from '../../agent/iso-time.ts'
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
import type { Container } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import { secondLookMs } from '../../agent/model/execs.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { EnteringProcess, ProcessObservation, ProcessOrigin } from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/model/text.ts'
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

type Entered = ProcessObservation & { origin: Extract<ProcessOrigin, { via: 'entered' }> }

/**
 * Whether a process is the first of its line in a container, and somebody is known who brought it there. Nobody is
 * known of an orphan, of what was there before, and of one whose ancestors were lost: they are adopted by the shim or
 * the host's init. Containers that the engine does not know have execs that it does not know.
 */
export function isEntry(seen: ProcessObservation): seen is Entered {
  const { container, origin, process } = seen
  if (origin.via === 'init' || container.details === null) return false
  if (origin.entry.pid !== process.pid || origin.entry.startTicks !== process.startTicks) return false
  const [nearest] = origin.by
  return nearest !== undefined && nearest.pid !== 1 && !isMonitor(nearest) && !isOfStart(origin.by)
}

/** The parent of a container's init, which adopts what is left over of an exec. */
function isMonitor(process: EnteringProcess): boolean {
  return /^(?:containerd-shim.*|conmon)$/.test(programOf(process))
}

/** Hooks of the OCI runtime, and its own steps: brought by what makes or starts the container. */
function isOfStart(by: readonly EnteringProcess[]): boolean {
  if (by[0]?.containerId !== null) return false
  const runtime = by.find((one) => isRuntime(one) && !isRuntimeInit(one))
  const verb = runtime?.argv.find((argument) => verbs.has(argument)) ?? ''
  return verbs.get(verb) === 'starts'
}

// What follows the verb is the container's and may hold the same words.
const verbs: ReadonlyMap<string, 'starts' | 'joins'> = new Map([
  ['create', 'starts'],
  ['start', 'starts'],
  ['run', 'starts'],
  ['restore', 'starts'],
  ['exec', 'joins'],
])

// runc and its wrappers (docker-runc, nvidia-container-runtime), and the others that Docker documents.
function isRuntime({ argv }: EnteringProcess): boolean {
  return /^(?:(?:.*-)?runc|crun|youki|runsc|.*-container-runtime)$/.test(baseName(argv[0] ?? ''))
}

function isRuntimeInit(one: EnteringProcess): boolean {
  return isRuntime(one) && one.argv[1] === 'init'
}

function programOf({ exe, argv }: EnteringProcess): string {
  // The runtime runs a copy of itself that has no name.
  const name = baseName(exe.replace(/ \(deleted\)$/, ''))
  return name === '' ? baseName(argv[0] ?? '') : name
}

function describeEntry({ container, process, origin, time }: Entered): Detection {
  const { by, entry, execId } = origin
  const own = by.filter((one) => !isRuntimeInit(one))
  const tool = own.find(({ exe, argv }) => !isShell(exe) && !isShell(argv[0] ?? '')) ?? by[0]
  const name = tool === undefined ? '' : programOf(tool)
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'untracked-exec',
    time,
    container,
    summary: `${name} ran ${clip(commandLine(process.argv), 160)} in ${container.name} as ${userOf(process.containerUid)}, without the Docker API${loginPhrase(by)}`,
    subject: [name, program],
    act: `${container.id}:${entry.pid}:${entry.startTicks}`,
    evidence: {
      argv: clipArgv(process.argv),
      program: clip(process.exe, 1_024),
      pid: process.pid,
      user: userOf(process.containerUid),
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

function userOf(uid: number): string {
  return uid === 0 ? 'root' : `uid ${uid}`
}
