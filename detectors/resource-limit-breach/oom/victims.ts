import { defer, ignoreElements, map, merge, type Observable, tap } from 'rxjs'
import type { Observed } from '../../../agent/model/detector.ts'
import type { Detection, Json } from '../../../agent/model/finding.ts'
import type {
  EventsLost,
  ExecEnded,
  ExecObservation,
  OomVictim,
  ProcessKilled,
  ProcessObservation,
} from '../../../agent/model/observation.ts'
import { BoundedMap } from '../../../agent/lib/bounded-map.ts'
import { clip, commandLine } from '../../../agent/lib/text.ts'
import type { OomReport } from './report.ts'

/**
 * Names the victims of OOM kills, from the kernel's own records where there are any. Otherwise: in a container that
 * died, the victim is its first process; the victims of other kills are among the processes and execs that were ended
 * by SIGKILL since all kills were last accounted for. They are named only if their number equals the number of kills
 * and no exit was missed.
 */
export function withVictims(
  reports$: Observable<OomReport>,
  observed: Pick<Observed, 'on'>,
): Observable<Detection> {
  return defer(() => {
    const { sawProcess, sawKill, sawExec, sawExecEnd, sawLoss, name } = victims()
    const tracked$ = merge(
      observed.on('process').pipe(tap(sawProcess)),
      observed.on('process-killed').pipe(tap(sawKill)),
      observed.on('exec').pipe(tap(sawExec)),
      observed.on('exec-ended').pipe(tap(sawExecEnd)),
      observed.on('events-lost').pipe(tap(sawLoss)),
    )
    return merge(tracked$.pipe(ignoreElements()), reports$.pipe(map(name)))
  })
}

/** Tracks first processes, execs and killed processes, in bounded memory. */
export function victims() {
  const firstProcesses = new BoundedMap<string, string>(maxRemembered)
  const execs = new BoundedMap<string, string>(maxRemembered)
  const killedExecs = new BoundedMap<string, Victim>(maxRemembered)
  const killedProcesses = new BoundedMap<string, Victim>(maxRemembered)
  let lostAt = -Infinity

  function name({ detection, victims: known }: OomReport): Detection {
    const { container, evidence } = detection
    if (container === null) return detection
    const isDeath = detection.rule === 'container-oom-killed'
    if (isDeath) return withEvidence(detection, { first_process: firstProcesses.get(container.id) })
    if (!('since' in known)) return withEvidence(detection, namedByKernel(known))
    const wanted = { containerId: container.id, kills: Number(evidence['kills']), since: known.since }
    return withEvidence(detection, {
      killed_processes: lostAt >= known.since ? undefined : allOf(wanted, killedProcesses),
      killed_execs: allOf(wanted, killedExecs),
    })
  }

  function namedByKernel(known: readonly OomVictim[]): Evidence {
    const processes = known.map(({ process }) => commandOf(process)).filter((command) => command !== '')
    const commands = known.map(({ execId }) => execs.get(execId)).filter((command) => command !== undefined)
    return { killed_processes: someOf(processes), killed_execs: someOf(commands) }
  }

  return {
    sawProcess({ container, process }: ProcessObservation): void {
      if (process.pid !== container.details?.pid) return
      firstProcesses.setNewest(container.id, shortCommand(process.argv))
    },
    sawKill({ container, process, time }: ProcessKilled): void {
      const key = `${process.pid} ${process.startTicks}`
      killedProcesses.setNewest(key, { containerId: container.id, time, command: commandOf(process) })
    },
    sawLoss({ source, time }: EventsLost): void {
      if (source === 'processes') lostAt = time
    },
    sawExec({ execId, argv }: ExecObservation): void {
      if (execId !== '') execs.setNewest(execId, shortCommand(argv))
    },
    sawExecEnd({ execId, container, exitCode, time }: ExecEnded): void {
      const command = execs.get(execId)
      execs.delete(execId)
      if (command === undefined || exitCode !== killedExitCode) return
      killedExecs.setNewest(execId, { containerId: container.id, time, command })
    },
    name,
  }
}

type Victim = { containerId: string; time: number; command: string }
type Evidence = { readonly [key: string]: Json }

function withEvidence(detection: Detection, more: Evidence): Detection {
  return { ...detection, evidence: { ...detection.evidence, ...more } }
}

/** The commands killed since a point in time; undefined unless their number equals the number of kills. */
function allOf(
  { containerId, kills, since }: { containerId: string; kills: number; since: number },
  ended: ReadonlyMap<string, Victim>,
): string[] | undefined {
  const suspects = [...ended.values()].filter(
    (victim) => victim.containerId === containerId && victim.time >= since,
  )
  const isKnown = suspects.every(({ command }) => command !== '')
  const isSure = isKnown && suspects.length > 0 && suspects.length === kills && kills <= maxNamed
  return isSure ? suspects.map(({ command }) => command) : undefined
}

function someOf(commands: readonly string[]): string[] | undefined {
  return commands.length === 0 ? undefined : commands.slice(0, maxNamed)
}

// Fewer than the kills reported in one second: of more, it is unknown whether all were seen.
const maxNamed = 10
const maxRemembered = 4_096
const maxCommand = 200
// 128 + SIGKILL.
const killedExitCode = 137

function commandOf({ argv, exe }: ProcessKilled['process']): string {
  return argv.length > 0 ? shortCommand(argv) : clip(exe, maxCommand)
}

function shortCommand(argv: readonly string[]): string {
  return clip(commandLine(argv), maxCommand)
}
