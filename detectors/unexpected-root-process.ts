import {
  delay,
  filter,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  scan,
  startWith,
  takeUntil,
  withLatestFrom,
} from 'rxjs'
import { z } from 'zod'
import { duration } from '../agent/config/units.ts'
import { isRootUser } from '../agent/model/container.ts'
import { defineDetector, type Observed } from '../agent/model/detector.ts'
import type { Detection } from '../agent/model/finding.ts'
import type { ExecEnded, ExecObservation, Process, ProcessObservation } from '../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../agent/model/text.ts'

/** Processes that have root where the container's configuration says that nobody should (MITRE ATT&CK T1548). */
export const unexpectedRootProcess = defineDetector({
  name: 'unexpected-root-process',
  rules: {
    'root-in-nonroot-container': {
      severity: 'critical',
      kind: 'event',
      summary:
        'A process is root in a container that is configured to run as another user, and no exec explains it.',
      remedy:
        'Look for a setuid program or an exploit in the container; run it with --security-opt no-new-privileges.',
    },
  },
  settings: z.strictObject({
    settle: duration('500ms', { max: '1m' }).describe(
      'How long a root process may wait for the exec that explains it to be known.',
    ),
  }),
  detect: ({ execs$, execEnds$, processes$ }: Observed, { settle }): Observable<Detection> => {
    const rootExecs$ = merge(execs$, execEnds$).pipe(scan(rememberRootExecs, noExecs), startWith(noExecs))
    return processes$.pipe(
      filter(isUnexpectedRoot),
      mergeMap((seen) =>
        of(seen).pipe(
          delay(isRuntimeInit(seen.process) ? runtimeInitMs : settle),
          takeUntil(processes$.pipe(filter((later) => isRuntimeInit(seen.process) && isSame(later, seen)))),
        ),
      ),
      withLatestFrom(rootExecs$),
      filter(([seen, execs]) => !isExplained(seen, execs)),
      map(([seen]) => describe(seen)),
    )
  },
})

/** Whether the container's configuration forbids what the process is; false where the configuration is unknown. */
export function isUnexpectedRoot({ container, process }: ProcessObservation): boolean {
  if (container.details === null || isRootUser(container.details.user)) return false
  return process.containerUid === 0 || process.containerEuid === 0
}

// runc's own init is root in the container for the moment before it becomes the container's program
// (libcontainer/nsenter/nsexec.c); on a busy host with a slow disk that moment can be seconds.
const runtimeInitMs = 10_000

/** Whether it looks like the runtime before its last exec. Anything can be named so: hence the wait, not a pardon. */
export function isRuntimeInit({ exe, argv }: Process): boolean {
  return argv[1] === 'init' && (exe === '/' || /^\/memfd:runc_cloned:|\/(?:docker-)?runc$|\/crun$/.test(exe))
}

function isSame(a: ProcessObservation, b: ProcessObservation): boolean {
  return a.process.pid === b.process.pid && a.process.startTicks === b.process.startTicks
}

/** Execs that entered as root, or may have; by container id, then exec id. Times are epoch milliseconds. */
type RootExecs = ReadonlyMap<string, ReadonlyMap<string, { from: number; to: number }>>
const noExecs: RootExecs = new Map()

// Process start times come in clock ticks (10 ms), events in the engine's own time.
const slackMs = 1_000
const rememberMs = 60_000

function rememberRootExecs(execs: RootExecs, observed: ExecObservation | ExecEnded): RootExecs {
  const { container, execId, time } = observed
  const known = execs.get(container.id)
  if (observed.kind === 'exec-ended') {
    const ended = known?.get(execId)
    if (known === undefined || ended === undefined) return execs
    return new Map(execs).set(container.id, new Map(known).set(execId, { ...ended, to: time }))
  }
  // An exec whose user nobody knows is reported as such; its processes are not reported once more.
  if (observed.settings !== null && !isRootUser(observed.settings.user)) return execs
  const recent = [...(known ?? [])].filter(([, { to }]) => to > time - rememberMs)
  const updated = new Map(recent).set(execId, { from: time, to: Infinity })
  return new Map([...execs].filter(([id]) => id !== container.id)).set(container.id, updated)
}

function isExplained({ container, origin }: ProcessObservation, execs: RootExecs): boolean {
  if (origin.via !== 'entered') return false
  const { startedAt } = origin.entry
  const candidates = [...(execs.get(container.id)?.values() ?? [])]
  return candidates.some(({ from, to }) => startedAt >= from - slackMs && startedAt <= to + slackMs)
}

function describe({ container, process, time }: ProcessObservation): Detection {
  const program = baseName(process.exe) || process.comm
  const configuredUser = container.details?.user ?? ''
  return {
    rule: 'root-in-nonroot-container',
    time,
    container,
    summary: `${program} runs as root in ${container.name}, which is configured to run as ${configuredUser}: ${clip(commandLine(process.argv), 160)}`,
    subject: [process.exe],
    act: `${container.id}:${process.pid}:${process.startTicks}`,
    evidence: {
      program: clip(process.exe, 1_024),
      argv: clipArgv(process.argv),
      pid: process.pid,
      parent_pid: process.parentPid,
      uid: process.containerUid,
      euid: process.containerEuid,
      host_uid: process.uid,
      host_euid: process.euid,
      configured_user: configuredUser,
      started_at: new Date(process.startedAt).toISOString(),
    },
  }
}
