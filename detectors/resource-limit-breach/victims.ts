import { defer, ignoreElements, map, merge, type Observable, tap } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type {
  EventsLost,
  ExecEnded,
  ExecObservation,
  ProcessKilled,
  ProcessObservation,
} from '../../agent/model/observation.ts'
import { clip, commandLine } from '../../agent/model/text.ts'

/**
 * Adds to kills for want of memory what is known of whom they hit. The kernel tells the victim to its log alone,
 * so this is what follows from the rest: a container died as its first process did, and a process that ended by
 * SIGKILL in the same moment, or an exec of which the engine says so, was what was killed. Where several might have
 * been it, or an end may have been missed, none is named.
 */
export function withVictims(
  detections$: Observable<Detection>,
  observed: Pick<Observed, 'processes$' | 'processKills$' | 'execs$' | 'execEnds$' | 'eventsLost$'>,
): Observable<Detection> {
  return defer(() => {
    const { sawProcess, sawKill, sawExec, sawExecEnd, sawLoss, name } = victims()
    const learnt$ = merge(
      observed.processes$.pipe(tap(sawProcess)),
      observed.processKills$.pipe(tap(sawKill)),
      observed.execs$.pipe(tap(sawExec)),
      observed.execEnds$.pipe(tap(sawExecEnd)),
      observed.eventsLost$.pipe(tap(sawLoss)),
    )
    return merge(learnt$.pipe(ignoreElements()), detections$.pipe(map(name)))
  })
}

/** What is remembered of first processes and execs, bounded whatever happens on the host. */
export function victims() {
  const firstProcesses = new Map<string, string>()
  const execs = new Map<string, string>()
  const killedExecs = new Map<string, Victim>()
  const killedProcesses = new Map<string, Victim>()
  let lostAt = -Infinity

  function name(detection: Detection): Detection {
    const { container, evidence } = detection
    if (container === null) return detection
    if (detection.rule === 'container-oom-killed') {
      return { ...detection, evidence: { ...evidence, first_process: firstProcesses.get(container.id) } }
    }
    if (detection.rule !== 'oom-kill') return detection
    const killed = {
      killed_processes: hasLost(detection) ? undefined : allOf(detection, killedProcesses),
      killed_execs: allOf(detection, killedExecs),
    }
    return { ...detection, evidence: { ...evidence, ...killed } }
  }

  /** What was missed is told within a second. */
  function hasLost({ time }: Detection): boolean {
    return Math.abs(lostAt - time) <= 3_000
  }

  return {
    sawProcess({ container, process }: ProcessObservation): void {
      if (process.pid !== container.details?.pid) return
      remember(firstProcesses, container.id, inShort(process.argv))
    },
    sawKill({ container, process, time }: ProcessKilled): void {
      const key = `${process.pid} ${process.startTicks}`
      const { argv, exe } = process
      const command = argv.length > 0 ? inShort(argv) : clip(exe, maxCommand)
      remember(killedProcesses, key, { containerId: container.id, time, command })
    },
    sawLoss({ source, time }: EventsLost): void {
      if (source === 'processes') lostAt = time
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

type Victim = { containerId: string; time: number; command: string }

/** The commands of those that ended so in the moment of some kills; undefined unless they are as many. */
function allOf(
  { container, time, evidence }: Detection,
  ended: ReadonlyMap<string, Victim>,
): string[] | undefined {
  const kills = Number(evidence['kills'])
  const suspects = [...ended.values()].filter(
    (victim) => victim.containerId === container?.id && isSameMoment(victim.time, time),
  )
  const isKnown = suspects.every(({ command }) => command !== '')
  const isSure = isKnown && suspects.length > 0 && suspects.length === kills && kills <= maxNamed
  return isSure ? suspects.map(({ command }) => command) : undefined
}

// Fewer than are told of in a second: of more, nobody knows whether they are all.
const maxNamed = 10
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
