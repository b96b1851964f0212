import { defer, merge, mergeMap, type Observable, timer } from 'rxjs'
import { type Container, isRootUser } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type {
  ExecCaller,
  ExecEnded,
  ExecObservation,
  ProcessObservation,
} from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import { callerEvidence, callerPhrase, isUnusualClient } from './caller.ts'
import { healthcheckRate } from './healthcheck-rate.ts'
import { type KnownExec, knownExecs } from './known-execs.ts'
import { rulesOfExec } from './rules.ts'

/**
 * One finding for each exec of the Docker API, with what is known when the engine has told of it, which a caller that
 * was seen is in the same turn; another caller, its first programs and its end are added as they become known.
 */
export function execFindings(
  observed: Pick<Observed, 'execs$' | 'execEnds$' | 'execCallers$' | 'processes$' | 'memory' | 'execs'>,
  learnAfterOf: (container: Container) => number,
): Observable<Detection> {
  return defer(() => findingsOf(observed, learnAfterOf))
}

function findingsOf(...[observed, learnAfterOf]: Parameters<typeof execFindings>): Observable<Detection> {
  const { execs$, execEnds$, execCallers$, processes$, memory, execs } = observed
  const all = knownExecs()
  const countHealthcheck = healthcheckRate()

  function onExec(exec: ExecObservation): Observable<Detection> {
    const known = all.started(keyOf(exec), exec)
    const checks = exec.healthcheck ? countHealthcheck(exec) : null
    return timer(0).pipe(
      mergeMap(() => {
        known.judged = true
        return tell(known, exec, checks === null ? {} : { checks_in_last_minute: checks })
      }),
    )
  }

  function onCaller(told: ExecCaller): Detection[] {
    const { execId, caller, time } = told
    // Whoever called before this run was told then, if anybody could tell.
    if (caller.client !== 'seen' && execs.isFromBefore(told)) return []
    const known = all.of(execId, time)
    known.caller = caller
    const { exec, judged } = known
    if (exec === null || !judged) return []
    if (known.told.length === 0) return tell(known, exec)
    const completed = complete(known)
    // It was told as a plain command, and is more than that: so it is told as the finding that it would have been.
    const isMore =
      known.told[0] === 'exec-command' && isUnusualClient(caller, memory, learnAfterOf(exec.container))
    if (!isMore) return completed
    known.told = ['exec-from-container', ...known.told]
    return [...completed, describeExec(known, exec, known.told)]
  }

  function onProcess({ change, origin, process, time }: ProcessObservation): Detection[] {
    if (change === 'ids-changed' || origin.via === 'init' || origin.execId === '') return []
    const known = all.of(origin.execId, time)
    if (known.programs.length >= maxPrograms) return []
    known.programs.push(process)
    return complete(known)
  }

  function onEnd(end: ExecEnded): Detection[] {
    const known = all.get(end.execId)
    if (known === undefined) return []
    all.ended(end.execId, end)
    return complete(known)
  }

  function tell(known: KnownExec, exec: ExecObservation, evidence: Detection['evidence'] = {}): Detection[] {
    const rules = rulesOf(known, exec, 'checks_in_last_minute' in evidence)
    if (rules.length === 0) return []
    known.told = rules
    const detection = describeExec(known, exec, rules)
    return [{ ...detection, evidence: { ...detection.evidence, ...evidence } }]
  }

  function rulesOf({ caller }: KnownExec, exec: ExecObservation, isTooMany: boolean): string[] {
    if (exec.healthcheck) {
      // The engine asks nobody for its health checks.
      return caller?.client === 'seen' || isTooMany ? ['healthcheck-lookalike', 'exec-command'] : []
    }
    const isUnusual = caller !== null && isUnusualClient(caller, memory, learnAfterOf(exec.container))
    return isUnusual ? ['exec-from-container', ...rulesOfExec(exec)] : rulesOfExec(exec)
  }

  return merge(
    execs$.pipe(mergeMap(onExec)),
    execEnds$.pipe(mergeMap(onEnd)),
    execCallers$.pipe(mergeMap(onCaller)),
    processes$.pipe(mergeMap(onProcess)),
  )
}

// What somebody came for is among the first; what a build or a test suite runs after that is not evidence.
const maxPrograms = 5

/** An image may hide the id of its execs; each is then known by when it was. */
function keyOf({ execId, container, time }: ExecObservation): string {
  return execId === '' ? `${container.id}@${time}` : execId
}

function complete(known: KnownExec): Detection[] {
  const { exec, told } = known
  if (exec === null || exec.execId === '' || told.length === 0) return []
  return [{ ...describeExec(known, exec, told), completes: true }]
}

function describeExec(known: KnownExec, exec: ExecObservation, rules: readonly string[]): Detection {
  const { container, settings, argv, execId } = exec
  const { caller, programs, end } = known
  const [rule = 'exec-command', ...also] = rules
  const user = settings === null ? undefined : settings.user || 'root'
  const seconds = end === null ? undefined : Math.max(0, Math.round(end.time - exec.time)) / 1_000
  return {
    rule,
    also,
    time: exec.time,
    container,
    summary: `${nameOf(user)} ${phraseOf(rules)} ${clip(commandLine(argv), 160)} in ${container.name}${callerPhrase(caller)}${endPhrase(end, seconds)}`,
    subject: [baseName(argv[0] ?? ''), settings?.user ?? ''],
    ...(execId === '' ? {} : { act: execId }),
    evidence: {
      argv: clipArgv(argv),
      argv_exact: exec.exact,
      user,
      tty: settings?.tty,
      open_stdin: settings?.openStdin,
      privileged: settings?.privileged,
      configured_user: container.details?.user,
      pid: settings?.pid || programs[0]?.pid,
      exec_id: execId || undefined,
      caller: callerEvidence(caller),
      programs:
        programs.length === 0
          ? undefined
          : programs.map((one) => ({ argv: clipArgv(one.argv), pid: one.pid, uid: one.containerUid })),
      exit_code: end === null ? undefined : end.exitCode,
      duration_seconds: seconds,
    },
  }
}

/** Root by its name, whether it was given as that or as 0. */
function nameOf(user: string | undefined): string {
  if (user === undefined) return 'somebody'
  return isRootUser(user) ? 'root' : user
}

function phraseOf(rules: readonly string[]): string {
  if (rules.includes('privileged-exec')) return 'ran with --privileged'
  return rules.includes('interactive-shell') ? 'opened an interactive' : 'ran'
}

function endPhrase(end: ExecEnded | null, seconds: number | undefined): string {
  if (end === null) return ''
  return end.exitCode === null ? ' (ended)' : ` (exit code ${end.exitCode} after ${seconds} s)`
}
