import { map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection, Rule } from '../../agent/model/finding.ts'
import type { HelperPlace, UsermodeHelper } from '../../agent/model/observation.ts'
import { clip, clipArgv } from '../../agent/lib/text.ts'

export const helperRules = {
  'usermode-helper-from-container': {
    severity: 'critical',
    kind: 'event',
    summary:
      'The kernel ran a program out of a container’s files as root of the host: the end of an escape by core_pattern, release_agent, modprobe or uevent_helper.',
    remedy:
      'Treat the host as entered: disconnect it, keep the container and the file for inspection, and put /proc/sys/kernel/core_pattern, modprobe and the release agents of all cgroup hierarchies right.',
  },
} as const satisfies Record<string, Rule>

/** What the kernel runs by itself is its own business, except where a container could have written it. */
export function containersHelpers({
  usermodeHelpers$,
}: Pick<Observed, 'usermodeHelpers$'>): Observable<Detection> {
  return usermodeHelpers$.pipe(map(helperDetection))
}

const places: Readonly<Record<HelperPlace, (name: string | null) => string>> = {
  root: (name) => `out of the files of ${name ?? 'a container'}`,
  layer: (name) =>
    name === null ? 'out of a layer of an image or of an ended container' : `out of the layer of ${name}`,
  volume: (name) => `out of a folder that ${name ?? 'a container'} can write`,
  process: (name) => `through /proc, out of what a process of ${name ?? 'a container'} sees`,
}

/** One such run as a finding. */
export function helperDetection({ process, container, path, via, time }: UsermodeHelper): Detection {
  return {
    rule: 'usermode-helper-from-container',
    time,
    container,
    summary: `the kernel ran ${clip(path, 200)} as root of the host ${places[via](container?.name ?? null)}`,
    subject: [path],
    act: `${process.pid}:${process.startTicks}`,
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
