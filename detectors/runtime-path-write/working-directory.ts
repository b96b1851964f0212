import { defer, filter, map, merge, type Observable } from 'rxjs'
import { processActor } from '../../agent/model/actor.ts'
import { normalize } from 'node:path/posix'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { ContainerObservation, ProcessObservation } from '../../agent/model/observation.ts'
import { userNameOfId } from '../../agent/model/user-name.ts'
import { BoundedSet } from '../../agent/lib/bounded-map.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import { commandSubject } from '../../agent/model/process-evidence.ts'
import { timesOfProcess } from '../../agent/model/times.ts'

export const directoryRules = {
  'working-directory-escape': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'The working directory of a container, or of a process in it, is a directory of the host that the runtime left open (CVE-2024-21626).',
    remedy:
      'Remove the container and its image, update runc to 1.1.12 or later, and assume the host is compromised if a process ran there.',
  },
} as const satisfies Record<string, Rule>

/** Detects escapes by the configuration, which shows the intent, and by running processes, where `exec -w` shows. */
export function directoryEscapes({ on, execs }: Pick<Observed, 'on' | 'execs'>): Observable<Detection> {
  return defer(() => {
    const reported = new BoundedSet<string>(maxReported)
    const isNew = ({ eventKey = '' }: Detection) => {
      const wasReported = reported.delete(eventKey)
      reported.add(eventKey)
      return !wasReported
    }
    return merge(
      on('container').pipe(
        filter(({ container }) => isThroughProc(container.details?.workingDirectory ?? '')),
        map(configuredEscape),
      ),
      // A process that escaped to the host for good is reported by its own rule.
      on('process').pipe(
        filter(({ process, hostFiles }) => process.workingDirectoryOutside === true && hostFiles === null),
        map((seen) => runningEscape(seen, processActor(seen, execs))),
      ),
    ).pipe(filter(isNew))
  })
}

const maxReported = 4_096

/** Whether a path leads through /proc to the open files, root or working directory of a process. */
export function isThroughProc(path: string): boolean {
  const clean = normalize(path).replace(/^\/\//, '/')
  return /^\/proc\/(?:self|thread-self|\d+)\/(?:task\/\d+\/)?(?:fd|cwd|root|map_files)(?:\/|$)|^\/dev\/fd(?:\/|$)/.test(
    clean,
  )
}

function configuredEscape({ container, time }: ContainerObservation): Detection {
  const directory = container.details?.workingDirectory ?? ''
  return {
    rule: 'working-directory-escape',
    time,
    container,
    summary: `${container.name} is configured with the working directory ${clip(directory, 160)} (CVE-2024-21626 pattern)`,
    subject: [...(container.details?.command ?? []), directory, 'configuration'],
    eventKey: `working-directory:${container.id}`,
    evidence: {
      working_directory: clip(directory, 1_024),
      command: clipArgv(container.details?.command ?? []),
    },
  }
}

function runningEscape(seen: ProcessObservation, actor: string | undefined): Detection {
  const { container, process, origin } = seen
  const { pid, startTicks } = origin.via === 'entered' ? origin.entry : { pid: 0, startTicks: 0 }
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'working-directory-escape',
    ...timesOfProcess(seen),
    container,
    summary: `${program} in ${container.name} has a working directory outside the container, ${clip(process.workingDirectory, 160)}: \`${clip(commandLine(process.argv), 120)}\``,
    subject: [...commandSubject(process), process.workingDirectory],
    targetUser: userNameOfId(process.containerUid),
    actor,
    // Its descendants start in the same directory.
    eventKey: `outside:${container.id}:${container.details?.startedAt ?? 0}:${pid}:${startTicks}`,
    evidence: {
      working_directory: clip(process.workingDirectory, 1_024),
      program: clip(process.exe, 1_024),
      argv: clipArgv(process.argv),
      pid: process.pid,
      uid: process.containerUid,
      exec_id: origin.via === 'entered' ? origin.execId || undefined : undefined,
    },
  }
}
