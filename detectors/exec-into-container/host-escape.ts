import { filter, map, type Observable } from 'rxjs'
import { entryActor } from '../../agent/model/actor.ts'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { HostFiles, ProcessObservation } from '../../agent/model/observation.ts'
import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import { baseName, clip, clipArgv, quotedCommand } from '../../agent/lib/text.ts'
import { commandSubject } from '../../agent/model/process-evidence.ts'
import { userNameOfId } from '../../agent/model/user-name.ts'
import { timesOfProcess } from '../../agent/model/times.ts'
import { ancestryOf, loginUserIn } from './lineage.ts'

/**
 * Container processes that see the host's files as the host does: one finding per escaped process, not per program it
 * runs.
 */
export function hostEscapes({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  const escapedAt = new BoundedMap<number, number>(maxEscaped)

  function isFirst({ process, time }: ProcessObservation): boolean {
    const { pid, parentPid } = process
    const isKnown = [pid, parentPid].some((one) => time - (escapedAt.get(one) ?? -Infinity) < rememberMs)
    escapedAt.setNewest(pid, time)
    return !isKnown
  }

  return on('process').pipe(
    filter((seen): seen is Escaped => seen.hostFiles !== null && isFirst(seen)),
    map(describeEscaped),
  )
}

type Escaped = ProcessObservation & { hostFiles: HostFiles }

// Pids are reused: after this much silence a pid is reported again.
const rememberMs = 600_000
const maxEscaped = 4_096

const places: Readonly<Record<HostFiles, string>> = {
  'mount-namespace': 'the host’s mount namespace',
  root: 'the host’s root directory',
}

function describeEscaped(seen: Escaped): Detection {
  const { container, process, origin, hostFiles, lineage = [] } = seen
  const program = baseName(process.exe) || process.comm
  return {
    rule: 'host-namespace-entered',
    ...timesOfProcess(seen),
    container,
    summary: `${program} in ${container.name} escaped into ${places[hostFiles]}${ranPhrase(process.argv)}`,
    subject: [...commandSubject(process), hostFiles],
    targetUser: userNameOfId(process.uid),
    // The first of the lineage is the process itself; a process of the container's own has no ancestor outside.
    actor: entryActor(lineage.slice(1)),
    eventKey: `${container.id}:${process.pid}:${process.startTicks}`,
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

function ranPhrase(argv: readonly string[]): string {
  return argv.length === 0 ? '' : ` (ran ${quotedCommand(argv)})`
}
