import { defer, merge, mergeMap, type Observable, timer } from 'rxjs'
import type { Container } from '../../agent/model/container.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type {
  ExecCaller,
  ExecEnded,
  ExecObservation,
  ProcessObservation,
} from '../../agent/model/observation.ts'
import { baseName, clipArgv } from '../../agent/lib/text.ts'
import { callerEvidence, isUnusualClient } from './caller.ts'
import { execCache, type ExecRecord } from './exec-cache.ts'
import { execSummary, secondsOf } from './exec-summary.ts'
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
  const cache = execCache()
  const countHealthcheck = healthcheckRate()

  function onExec(exec: ExecObservation): Observable<Detection> {
    const record = cache.started(cacheKeyOf(exec), exec)
    const checks = exec.healthcheck ? countHealthcheck(exec) : null
    return timer(0).pipe(
      mergeMap(() => {
        record.judged = true
        return report(record, exec, checks === null ? {} : { checks_in_last_minute: checks })
      }),
    )
  }

  function onCaller(observation: ExecCaller): Detection[] {
    const { execId, caller, time } = observation
    // The earlier run reported this exec, with its caller if one was known.
    if (caller.client !== 'seen' && execs.isFromBefore(observation)) return []
    const record = cache.getOrCreate(execId, time)
    record.caller = caller
    const { exec, judged } = record
    if (exec === null || !judged) return []
    if (record.reportedRules.length === 0) return report(record, exec)
    const updates = updateOf(record)
    // It was reported as a plain command, but the caller makes it more: emit the finding that an early caller would
    // have
    // produced.
    const isMore =
      record.reportedRules[0] === 'exec-command' &&
      isUnusualClient(caller, memory, learnAfterOf(exec.container))
    if (!isMore) return updates
    record.reportedRules = ['exec-from-container', ...record.reportedRules]
    return [...updates, describeExec(record, exec, record.reportedRules)]
  }

  function onProcess({ change, origin, process, time }: ProcessObservation): Detection[] {
    if (change === 'ids-changed' || origin.via === 'init' || origin.execId === '') return []
    const record = cache.getOrCreate(origin.execId, time)
    if (record.programs.length >= maxPrograms) return []
    record.programs.push(process)
    return updateOf(record)
  }

  function onEnd(end: ExecEnded): Detection[] {
    const record = cache.get(end.execId)
    if (record === undefined) return []
    cache.ended(end.execId, end)
    return updateOf(record)
  }

  function report(
    record: ExecRecord,
    exec: ExecObservation,
    evidence: Detection['evidence'] = {},
  ): Detection[] {
    const rules = rulesOf(record, exec, 'checks_in_last_minute' in evidence)
    if (rules.length === 0) return []
    record.reportedRules = rules
    const detection = describeExec(record, exec, rules)
    return [{ ...detection, evidence: { ...detection.evidence, ...evidence } }]
  }

  function rulesOf({ caller }: ExecRecord, exec: ExecObservation, isTooMany: boolean): string[] {
    if (exec.healthcheck) {
      // The engine starts its own health checks without an API client.
      return caller?.client === 'seen' || isTooMany ? ['healthcheck-lookalike', 'exec-command'] : []
    }
    const isUnusual = caller !== null && isUnusualClient(caller, memory, learnAfterOf(exec.container))
    return isUnusual ? ['exec-from-container', ...rulesOfExec(exec)] : rulesOfExec(exec)
  }

  return merge(
    on('exec').pipe(mergeMap(onExec)),
    on('exec-ended').pipe(mergeMap(onEnd)),
    on('exec-caller').pipe(mergeMap(onCaller)),
    on('process').pipe(mergeMap(onProcess)),
  )
}

// What the caller wanted to run is among the first; what a build or a test suite runs after that is not evidence.
const maxPrograms = 5

/** An image may hide the id of its execs; each of those is identified by its time. */
function cacheKeyOf({ execId, container, time }: ExecObservation): string {
  return execId === '' ? `${container.id}@${time}` : execId
}

function updateOf(record: ExecRecord): Detection[] {
  const { exec, reportedRules } = record
  if (exec === null || exec.execId === '' || reportedRules.length === 0) return []
  return [{ ...describeExec(record, exec, reportedRules), isUpdate: true }]
}

function describeExec(record: ExecRecord, exec: ExecObservation, rules: readonly string[]): Detection {
  const { container, settings, argv, execId } = exec
  const { caller, programs, end } = record
  const [rule = 'exec-command', ...also] = rules
  return {
    rule,
    also,
    time: exec.time,
    container,
    summary: execSummary(record, exec, rules),
    subject: [baseName(argv[0] ?? ''), settings?.user ?? ''],
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
