import { defer, merge, mergeMap, type Observable, timer } from 'rxjs'
import { callerActor, targetUserOf } from '../../agent/model/actor.ts'
import type { Container } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import { type ExecFacts, noFacts } from '../../agent/model/exec-view.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type {
  ExecCaller,
  ExecEnded,
  ExecObservation,
  ProcessObservation,
} from '../../agent/model/observation.ts'
import { clipArgv } from '../../agent/lib/text.ts'
import { timesOfExec } from '../../agent/model/times.ts'
import { callerEvidence, isUnusualClient } from './caller.ts'
import { execSummary, hasNotStarted, secondsOf } from './exec-summary.ts'
import { healthcheckRate } from './healthcheck-rate.ts'
import { rulesOfExec } from './rules.ts'

/**
 * One finding per exec of the Docker API, emitted as soon as the engine reports the exec. A caller that was seen
 * arrives in the same turn; a later caller, the first programs and the exit update the finding as they become known.
 */
export function execFindings(
  observed: Pick<Observed, 'on' | 'memory' | 'execs'>,
  learnAfterOf: (container: Container) => number,
): Observable<Detection> {
  return defer(() => findingsOf(observed, learnAfterOf))
}

function findingsOf(...[observed, learnAfterOf]: Parameters<typeof execFindings>): Observable<Detection> {
  const { on, memory, execs } = observed
  // The rules that each judged exec was reported under; none if it was not reported.
  const reported = new WeakMap<ExecFacts, readonly string[]>()
  const countHealthcheck = healthcheckRate()

  function onExec(exec: ExecObservation): Observable<Detection> {
    // An exec whose id is hidden has no other facts.
    const facts = execs.factsOf(exec.execId) ?? { ...noFacts, exec }
    const checks = exec.healthcheck ? countHealthcheck(exec) : null
    return timer(0).pipe(
      mergeMap(() => report(facts, exec, checks === null ? {} : { checks_in_last_minute: checks })),
    )
  }

  function onCaller({ execId, caller }: ExecCaller): Detection[] {
    const facts = execs.factsOf(execId)
    // The ledger did not record a caller that adds nothing to what an earlier run of the daemon reported.
    if (facts?.caller !== caller) return []
    const { exec } = facts
    const rules = reported.get(facts)
    if (exec === null || rules === undefined) return []
    if (rules.length === 0) return report(facts, exec)
    const updates = updateOf(facts, true)
    // It was reported as a plain command, but the caller makes it more: emit the finding that an early caller would
    // have produced.
    const isMore =
      rules[0] === 'exec-command' && isUnusualClient(caller, memory, learnAfterOf(exec.container))
    if (!isMore) return updates
    const more = ['exec-from-container', ...rules]
    reported.set(facts, more)
    return [...updates, describeExec(facts, exec, more)]
  }

  function onProcess({ origin, process }: ProcessObservation): Detection[] {
    if (origin.via === 'init') return []
    const facts = execs.factsOf(origin.execId)
    // The ledger records only the first programs.
    return facts?.programs.at(-1) === process ? updateOf(facts) : []
  }

  function onEnd({ execId }: ExecEnded): Detection[] {
    const facts = execs.factsOf(execId)
    return updateOf(facts, facts?.exec != null && hasNotStarted(facts, facts.exec.argv))
  }

  function report(
    facts: ExecFacts,
    exec: ExecObservation,
    evidence: Detection['evidence'] = {},
  ): Detection[] {
    const rules = rulesOf(facts, exec, 'checks_in_last_minute' in evidence)
    reported.set(facts, rules)
    if (rules.length === 0) return []
    const detection = describeExec(facts, exec, rules)
    return [{ ...detection, evidence: { ...detection.evidence, ...evidence } }]
  }

  function rulesOf({ caller }: ExecFacts, exec: ExecObservation, isTooMany: boolean): string[] {
    if (exec.healthcheck) {
      // The engine starts its own health checks without an API client.
      return caller?.client === 'seen' || isTooMany ? ['healthcheck-lookalike', 'exec-command'] : []
    }
    const isUnusual = caller !== null && isUnusualClient(caller, memory, learnAfterOf(exec.container))
    return isUnusual ? ['exec-from-container', ...rulesOfExec(exec)] : rulesOfExec(exec)
  }

  /** A caller that was unknown, or a failed start, contradicts what was reported. */
  function updateOf(facts: ExecFacts | undefined, isCorrection = false): Detection[] {
    const rules = facts && reported.get(facts)
    if (!facts?.exec || !rules?.length) return []
    return [{ ...describeExec(facts, facts.exec, rules), isUpdate: true, isCorrection }]
  }

  return merge(
    on('exec').pipe(mergeMap(onExec)),
    on('exec-ended').pipe(mergeMap(onEnd)),
    on('exec-caller').pipe(mergeMap(onCaller)),
    on('process').pipe(mergeMap(onProcess)),
  )
}

function describeExec(facts: ExecFacts, exec: ExecObservation, rules: readonly string[]): Detection {
  const { container, settings, argv, execId } = exec
  const { caller, programs, end } = facts
  const [rule = 'exec-command', ...also] = rules
  return {
    rule,
    also,
    ...timesOfExec(exec),
    container,
    summary: execSummary(facts, exec, rules),
    subject: [...argv, ...modesOf(exec)],
    targetUser: settings === null ? undefined : targetUserOf(settings.user),
    actor: callerActor(caller),
    ...(execId === '' ? {} : { eventKey: execId }),
    evidence: {
      argv: clipArgv(argv),
      argv_exact: exec.exact,
      user: settings === null ? undefined : settings.user || 'root',
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
      duration_seconds: end === null ? undefined : secondsOf(exec, end),
    },
  }
}

/**
 * A terminal, input or --privileged make another act of the same command. No argument can contain a NUL byte, so none
 * can imitate them.
 */
function modesOf({ settings }: ExecObservation): string[] {
  if (settings === null) return []
  const { tty, openStdin, privileged } = settings
  return Object.entries({ tty, openStdin, privileged }).flatMap(([mode, isOn]) => (isOn ? [`\0${mode}`] : []))
}
