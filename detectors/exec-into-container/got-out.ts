import { filter, map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { HostFiles, ProcessObservation } from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv, commandLine } from '../../agent/lib/text.ts'
import { ancestryOf, loginUserIn } from './lineage.ts'

/** Processes of containers that see the host's files as the host does: one finding for who got out, not for what he runs. */
export function hostNamespaceEntries({ processes$ }: Pick<Observed, 'processes$'>): Observable<Detection> {
  const outside = new Map<number, number>()

  function isFirst({ process, time }: ProcessObservation): boolean {
    const { pid, parentPid } = process
    const isKnown = [pid, parentPid].some((one) => time - (outside.get(one) ?? -Infinity) < rememberMs)
    outside.delete(pid)
    outside.set(pid, time)
    if (outside.size > maxOutside) outside.delete(outside.keys().next().value as number)
    return !isKnown
  }

  return processes$.pipe(
    filter((seen): seen is Outside => seen.hostFiles !== null && isFirst(seen)),
    map(describeOutside),
  )
}

type Outside = ProcessObservation & { hostFiles: HostFiles }

// A pid is used again; who has been silent for this long is told anew.
const rememberMs = 600_000
const maxOutside = 4_096

const phrases: Readonly<Record<HostFiles, string>> = {
  'mount-namespace': 'the mount namespace of the host',
  root: 'the root directory of the host',
}

function describeOutside({ container, process, origin, time, hostFiles, lineage = [] }: Outside): Detection {
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'host-namespace-entered',
    time,
    container,
    summary: `${program} of ${container.name} is in ${phrases[hostFiles]}: ${clip(commandLine(process.argv), 160)}`,
    subject: [program, hostFiles],
    act: `${container.id}:${process.pid}:${process.startTicks}`,
    evidence: {
      entered: hostFiles,
      argv: clipArgv(process.argv),
      program: clip(process.exe, 1_024),
      pid: process.pid,
      parent_pid: process.parentPid,
      uid: process.containerUid,
      host_uid: process.uid,
      host_user: lineage[0]?.user,
      login_user: loginUserIn(lineage),
      ancestry: lineage.length === 0 ? undefined : ancestryOf(lineage.slice(1)),
      privileged: container.details?.privileged,
      exec_id: origin.via === 'entered' ? origin.execId || undefined : undefined,
    },
  }
}
