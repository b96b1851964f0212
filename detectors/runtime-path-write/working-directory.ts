import { defer, filter, map, merge, type Observable } from 'rxjs'
import { normalize } from 'node:path/posix'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { ContainerObservation, ProcessObservation } from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import { recent } from './recent.ts'

export const directoryRules = {
  'working-directory-escape': {
    severity: 'critical',
    kind: 'event',
    summary:
      'A container works, or is configured to work, in a directory of the host that the runtime left open for it (CVE-2024-21626).',
    remedy:
      'Remove the container and its image, update runc to 1.1.12 or later, and treat the host as entered if a process ran there.',
  },
} as const satisfies Record<string, Rule>

/** By configuration, which is enough to know what is meant; and by where processes are, which `exec -w` shows in alone. */
export function directoryEscapes({
  containers$,
  processes$,
}: Pick<Observed, 'containers$' | 'processes$'>): Observable<Detection> {
  return defer(() => {
    const told = recent<true>(maxTold)
    const isNew = ({ act = '' }: Detection) => {
      const known = told.get(act) === true
      told.set(act, true)
      return !known
    }
    return merge(
      containers$.pipe(
        filter(({ container }) => leadsToDescriptor(container.details?.workingDirectory ?? '')),
        map(configuredEscape),
      ),
      // Who is out on the host for good is told of as that.
      processes$.pipe(
        filter(({ process, hostFiles }) => process.workingDirectoryOutside === true && hostFiles === null),
        map(realEscape),
      ),
    ).pipe(filter(isNew))
  })
}

const maxTold = 4_096

/** Whether a path leads to what a process has open, or to its root or directory, wherever that is. */
export function leadsToDescriptor(path: string): boolean {
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
    summary: `${container.name} is configured to work in ${clip(directory, 160)}`,
    subject: ['configuration'],
    act: `working-directory:${container.id}`,
    evidence: {
      working_directory: clip(directory, 1_024),
      command: clipArgv(container.details?.command ?? []),
    },
  }
}

function realEscape({ container, process, origin, time }: ProcessObservation): Detection {
  const { pid, startTicks } = origin.via === 'entered' ? origin.entry : { pid: 0, startTicks: 0 }
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'working-directory-escape',
    time,
    container,
    summary: `${program} in ${container.name} works outside of it, in ${clip(process.workingDirectory, 160)}: ${clip(commandLine(process.argv), 120)}`,
    subject: [program],
    // Its descendants begin where it is.
    act: `outside:${container.id}:${container.details?.startedAt ?? 0}:${pid}:${startTicks}`,
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
