import { defer, ignoreElements, map, merge, type Observable, tap } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ExecEnded, ExecObservation, ProcessObservation } from '../../agent/model/observation.ts'
import { clip, commandLine } from '../../agent/model/text.ts'

/**
 * Adds to kills for want of memory what is known of whom they hit. The kernel tells the victim to its log alone,
 * so this is what follows from the rest: a container died as its first process did, and an exec that ended by
 * SIGKILL in the same moment was what was killed. Where several might have been it, none is named.
 */
export function withVictims(
  detections$: Observable<Detection>,
  { processes$, execs$, execEnds$ }: Pick<Observed, 'processes$' | 'execs$' | 'execEnds$'>,
): Observable<Detection> {
  return defer(() => {
    const { sawProcess, sawExec, sawExecEnd, name } = victims()
    const learnt$ = merge(
      processes$.pipe(tap(sawProcess)),
      execs$.pipe(tap(sawExec)),
      execEnds$.pipe(tap(sawExecEnd)),
    )
    return merge(learnt$.pipe(ignoreElements()), detections$.pipe(map(name)))
  })
}

/** What is remembered of first processes and execs, bounded whatever happens on the host. */
export function victims() {
  const firstProcesses = new Map<string, string>()
  const execs = new Map<string, string>()
  const killedExecs = new Map<string, { containerId: string; time: number; command: string }>()

  function name(detection: Detection): Detection {
    const { container, evidence } = detection
    if (container === null) return detection
    if (detection.rule === 'container-oom-killed') {
      return { ...detection, evidence: { ...evidence, first_process: firstProcesses.get(container.id) } }
    }
    if (detection.rule !== 'oom-kill') return detection
    const suspects = [...killedExecs.values()]
      .filter(({ containerId, time }) => containerId === container.id && isSameMoment(time, detection.time))
      .map(({ command }) => command)
    if (suspects.length === 0 || suspects.length !== evidence['kills']) return detection
    return { ...detection, evidence: { ...evidence, killed_execs: suspects } }
  }

  return {
    sawProcess({ container, process }: ProcessObservation): void {
      if (process.pid !== container.details?.pid) return
      remember(firstProcesses, container.id, inShort(process.argv))
    },
    sawExec({ execId, argv }: ExecObservation): void {
      if (execId !== '') remember(execs, execId, inShort(argv))
    },
    sawExecEnd({ execId, container, exitCode, time }: ExecEnded): void {
      const command = execs.get(execId)
      execs.delete(execId)
      if (command === undefined || exitCode !== killedExitCode) return
      remember(killedExecs, execId, { containerId: container.id, time, command })
    },
    name,
  }
}

const maxRemembered = 4_096
const maxCommand = 200
// 128 + SIGKILL.
const killedExitCode = 137

function isSameMoment(one: number, other: number): boolean {
  return Math.abs(one - other) <= 1_000
}

function inShort(argv: readonly string[]): string {
  return clip(commandLine(argv), maxCommand)
}

/** The oldest are forgotten. */
function remember<T>(known: Map<string, T>, key: string, value: T): void {
  known.delete(key)
  known.set(key, value)
  const oldest = known.size > maxRemembered ? known.keys().next().value : undefined
  if (oldest !== undefined) known.delete(oldest)
}
