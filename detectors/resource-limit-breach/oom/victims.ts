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
  const firstProcesses = new BoundedMap<string, Named>(maxRemembered)
  const execs = new BoundedMap<string, Named>(maxRemembered)
  const killedExecs = new BoundedMap<string, Victim>(maxRemembered)
  const killedProcesses = new BoundedMap<string, Victim>(maxRemembered)
  let lostAt = -Infinity

  function name({ detection, victims: known }: OomReport): Detection {
    const { container } = detection
    if (container === null) return detection
    const isDeath = detection.rule === 'container-oom-killed'
    if (isDeath) {
      const first = firstProcesses.get(container.id)
      return withVictim(detection, { first_process: first?.command }, first === undefined ? [] : [first])
    }
    const { processes, commands } = 'since' in known ? suspects(detection, known.since) : namedByKernel(known)
    const killed = { killed_processes: commandsOf(processes), killed_execs: commandsOf(commands) }
    return withVictim(detection, killed, processes ?? commands ?? [])
  }

  function suspects({ container, evidence }: Detection, since: number): Killed {
    const wanted = { containerId: container?.id ?? '', kills: Number(evidence['kills']), since }
    return {
      processes: lostAt >= since ? undefined : allOf(wanted, killedProcesses),
      commands: allOf(wanted, killedExecs),
    }
  }

  function namedByKernel(known: readonly OomVictim[]): Killed {
    const processes = known.map(({ process }) => namedOf(process)).filter(({ command }) => command !== '')
    const commands = known.map(({ execId }) => execs.get(execId)).filter((command) => command !== undefined)
    return { processes: someOf(processes), commands: someOf(commands) }
  }

  return {
    sawProcess({ container, process }: ProcessObservation): void {
      if (process.pid !== container.details?.pid) return
      firstProcesses.setNewest(container.id, { ...namedOf(process), command: shortCommand(process.argv) })
    },
    sawKill({ container, process, time }: ProcessKilled): void {
      const key = `${process.pid} ${process.startTicks}`
      killedProcesses.setNewest(key, { containerId: container.id, time, ...namedOf(process) })
    },
    sawLoss({ source, time }: EventsLost): void {
      if (source === 'processes') lostAt = time
    },
    sawExec({ execId, argv }: ExecObservation): void {
      if (execId !== '') execs.setNewest(execId, namedOf({ exe: '', argv }))
    },
    sawExecEnd({ execId, container, exitCode, time }: ExecEnded): void {
      const command = execs.get(execId)
      execs.delete(execId)
      if (command === undefined || exitCode !== killedExitCode) return
      killedExecs.setNewest(execId, { containerId: container.id, time, ...command })
    },
    name,
  }
}

/** `program` is the same for all processes of a program, whatever their arguments are. */
type Named = { command: string; program: string }
type Victim = Named & { containerId: string; time: number }
type Killed = { processes: readonly Named[] | undefined; commands: readonly Named[] | undefined }

/** A kill of another program is another event, even at the same limit. */
function withVictim(
  detection: Detection,
  more: { readonly [key: string]: Json },
  named: readonly Named[],
): Detection {
  const programs = [...new Set(named.map(({ program }) => program))].toSorted()
  return {
    ...detection,
    subject: [...programs, ...detection.subject],
    evidence: { ...detection.evidence, ...more },
  }
}

function commandsOf(named: readonly Named[] | undefined): string[] | undefined {
  return named?.map(({ command }) => command)
}

/** The victims killed since a point in time; undefined unless their number equals the number of kills. */
function allOf(
  { containerId, kills, since }: { containerId: string; kills: number; since: number },
  ended: ReadonlyMap<string, Victim>,
): Named[] | undefined {
  const suspects = [...ended.values()].filter(
    (victim) => victim.containerId === containerId && victim.time >= since,
  )
  const isKnown = suspects.every(({ command }) => command !== '')
  const isSure = isKnown && suspects.length > 0 && suspects.length === kills && kills <= maxNamed
  return isSure ? suspects : undefined
}

function someOf(named: readonly Named[]): readonly Named[] | undefined {
  return named.length === 0 ? undefined : named.slice(0, maxNamed)
}

// Fewer than the kills reported in one second: of more, it is unknown whether all were seen.
const maxNamed = 10
const maxRemembered = 4_096
const maxCommand = 200
const maxProgram = 1_024
// 128 + SIGKILL.
const killedExitCode = 137

function namedOf({ argv, exe }: Pick<ProcessKilled['process'], 'argv' | 'exe'>): Named {
  return {
    command: argv.length > 0 ? shortCommand(argv) : clip(exe, maxCommand),
    program: clip(exe || (argv[0] ?? ''), maxProgram),
  }
}

function shortCommand(argv: readonly string[]): string {
  return clip(commandLine(argv), maxCommand)
}
