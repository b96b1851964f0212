import { filter, map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { BreakoutFile, BreakoutFileObservation } from '../../agent/model/observation.ts'
import { baseName, clip, clipArgv } from '../../agent/lib/text.ts'
import { isUpkeep } from './upkeep.ts'
import { byWhom, writerEvidence } from './writer.ts'

/** Tells who set what, and what it was before. */
export function breakoutFileDetections({
  breakoutFiles$,
}: Pick<Observed, 'breakoutFiles$'>): Observable<Detection> {
  return breakoutFiles$.pipe(
    map(breakoutFileDetection),
    filter((detection) => detection !== null),
  )
}

/** What one act means; null for what the host does as it should, and for what it did in vain. */
export function breakoutFileDetection(seen: BreakoutFileObservation): Detection | null {
  const { time, container, path, writer } = seen
  if (isHarmlessFlag(seen)) return null
  if (container === null && (seen.change !== 'changed' || isUpkeep(seen))) return null
  return {
    rule: container === null ? 'breakout-file-changed' : 'breakout-file-changed-by-container',
    time,
    container,
    summary: `${nameOf(seen)} ${whatHappened(seen)} ${byWhomOrWhere(seen)}`,
    // Setting it and putting it back are two things: the second must not take the place of the first in an alert.
    subject: [path, seen.after ?? ''],
    act: [seen.file, path, seen.after, writer?.pid, Math.round(time)].join(' '),
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
 * The flag alone makes the agent of the hierarchy run. Where that is the host's own, as systemd's is, systemd in a
 * container sets it too, and nothing runs but what the host wants; a change of the agent is told in any case.
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
  if (file === 'cgroup_hierarchy') return `a cgroup hierarchy of version 1, ${path},`
  if (file === 'binfmt_misc') return `the interpreter ${baseName(path)} of binfmt_misc`
  return names[file] ?? path
}

function whatHappened({ file, change, before, after }: BreakoutFileObservation): string {
  if (file === 'cgroup_hierarchy') return 'was mounted'
  if (change === 'rewritten') return 'was written to, and holds what it held before,'
  if (after === undefined) return 'was written to, and is gone since,'
  const value = after === null ? 'nothing' : quoted(file, after)
  if (change === 'refused') return `was to be set to ${value}, which the kernel refused,`
  if (after === null) return file === 'binfmt_misc' ? 'was removed' : 'was emptied'
  return `was set${before === null || before === undefined ? '' : ` from ${quoted(file, before)}`} to ${value}`
}

/** A registration has several lines; the one that says what runs is told. */
function quoted(file: BreakoutFile, value: string): string {
  const program = file === 'binfmt_misc' ? /^interpreter (.*)$/m.exec(value)?.[1] : undefined
  return `“${clip(program ?? value, maxValue)}”`
}

const maxValue = 100

function byWhomOrWhere({ writer, container, holders = [] }: BreakoutFileObservation): string {
  if (writer === null && container !== null) return `in container ${container.name}`
  const [holder] = holders
  if (writer === null && holder !== undefined) return `in a mount namespace of the host (pid ${holder.pid})`
  return byWhom({ writer, container })
}
