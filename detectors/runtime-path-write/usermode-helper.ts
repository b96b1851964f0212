import { map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { HelperPlace, UsermodeHelper } from '../../agent/model/observation.ts'
import { clip, clipArgv } from '../../agent/lib/text.ts'

export const helperRules = {
  'usermode-helper-from-container': {
    severity: 'critical',
    kind: 'event',
    technique: 'T1611',
    summary:
      'The kernel ran a program from a container’s files as root on the host: a completed escape through core_pattern, release_agent, modprobe or uevent_helper.',
    remedy:
      'Assume the host is compromised: isolate it, preserve the container and the file, and restore /proc/sys/kernel/core_pattern, modprobe and the release agents of all cgroup hierarchies.',
  },
} as const satisfies Record<string, Rule>

/** Reports programs that the kernel runs by itself, if a container could have written them. */
export function containerHelpers({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return on('usermode-helper').pipe(map(helperDetection))
}

const places: Readonly<Record<HelperPlace, (name: string | null) => string>> = {
  root: (name) => `from the files of ${name ?? 'a container'}`,
  layer: (name) =>
    name === null ? 'from the layer of an image or of a stopped container' : `from the layer of ${name}`,
  volume: (name) => `from a directory that ${name ?? 'a container'} can write to`,
  process: (name) => `through /proc, from the files visible to a process of ${name ?? 'a container'}`,
}

/** The finding for one such program. */
export function helperDetection({ process, container, path, via, time }: UsermodeHelper): Detection {
  return {
    rule: 'usermode-helper-from-container',
    time,
    container,
    summary: `the kernel ran \`${clip(path, 200)}\` as root on the host, ${places[via](container?.name ?? null)}`,
    // Its arguments are the kernel's: PIDs and times of the crashed process.
    subject: [path, via],
    targetUser: 'root',
    eventKey: `${process.pid}:${process.startTicks}`,
    evidence: {
      path: clip(path, 1_024),
      found_by: via,
      program: clip(process.exe, 1_024),
      argv: clipArgv(process.argv),
      pid: process.pid,
      parent_pid: process.parentPid,
      uid: process.uid,
    },
  }
}
