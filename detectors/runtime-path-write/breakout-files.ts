import { filter, map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { BreakoutFile, BreakoutFileObservation } from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv } from '../../agent/lib/text.ts'
import { isMaintenance } from './maintenance.ts'
import { actorOf, writerActor, writerEvidence } from './writer.ts'

/** Reports who set what, and the previous value. */
export function breakoutFileDetections({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return on('breakout-file').pipe(
    map(breakoutFileDetection),
    filter((detection) => detection !== null),
  )
}

/** The finding for one change; null for the host's own maintenance, and for its writes without effect. */
export function breakoutFileDetection(seen: BreakoutFileObservation): Detection | null {
  const { time, container, path, writer } = seen
  if (isHarmlessFlag(seen)) return null
  if (container === null && (seen.change !== 'changed' || isMaintenance(seen))) return null
  return {
    rule: container === null ? 'breakout-file-changed' : 'breakout-file-changed-by-container',
    time,
    container,
    summary: `${actorOf(seen)} ${whatHappened(seen)}`,
    // Setting and restoring a value are two findings: the second must not replace the first in an alert.
    subject: [path, seen.change, seen.after ?? (seen.after === null ? 'absent' : 'unknown')],
    actor: writerActor(writer),
    eventKey: [seen.file, path, seen.after, writer?.pid, Math.round(time)].join(' '),
    evidence: {
      file: seen.file,
      path,
      ...(seen.before !== undefined && { old: seen.before }),
      ...(seen.after !== undefined && { new: seen.after }),
      ...(seen.change !== 'changed' && { change: seen.change }),
      seen_by: seen.seenBy,
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...(seen.holders?.length && {
        mounted_by: seen.holders.map(({ pid, exe, argv }) => ({ pid, exe, argv: clipArgv(argv) })),
      }),
    },
  }
}

/**
 * The flag alone makes the hierarchy's release agent run. If that agent is the host's own, as systemd's is, only the
 * host's program runs, and systemd in a container sets the flag too. A change of the agent is always reported.
 */
function isHarmlessFlag({ file, hostAgent }: BreakoutFileObservation): boolean {
  return file === 'notify_on_release' && hostAgent !== undefined && hostAgent !== null
}

const names: Readonly<Partial<Record<BreakoutFile, string>>> = {
  core_pattern: 'kernel.core_pattern',
  modprobe: 'kernel.modprobe',
  hotplug: 'kernel.hotplug',
  poweroff_cmd: 'kernel.poweroff_cmd',
}

function nameOf({ file, path }: BreakoutFileObservation): string {
  if (file === 'binfmt_misc') return `the binfmt_misc interpreter ${baseName(path)}`
  return names[file] ?? path
}

function whatHappened(seen: BreakoutFileObservation): string {
  const { file, change, path, before, after } = seen
  const name = nameOf(seen)
  if (file === 'cgroup_hierarchy') return `mounted a cgroup v1 hierarchy (${path})${mountedWhere(seen)}`
  if (change === 'rewritten') return `wrote to ${name} without changing its value`
  if (after === undefined) return `wrote to ${name}, which no longer exists`
  if (change === 'refused') {
    const attempt = after === null ? `clear ${name}` : `set ${name} to ${quoted(file, after)}`
    return `tried to ${attempt} (refused by the kernel)`
  }
  if (after === null) return `${file === 'binfmt_misc' ? 'removed' : 'cleared'} ${name}`
  if (before === null || before === undefined) return `set ${name} to ${quoted(file, after)}`
  return `changed ${name} from ${quoted(file, before)} to ${quoted(file, after)}`
}

/** A registration has several lines; the one that names the program is quoted. */
function quoted(file: BreakoutFile, value: string): string {
  const program = file === 'binfmt_misc' ? /^interpreter (.*)$/m.exec(value)?.[1] : undefined
  return `\`${clip(program ?? value, maxValue)}\``
}

const maxValue = 100

function mountedWhere({ writer, container, holders = [] }: BreakoutFileObservation): string {
  const [holder] = holders
  if (writer !== null || container !== null || holder === undefined) return ''
  return ` in a mount namespace of the host (pid ${holder.pid})`
}
