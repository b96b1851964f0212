import { filter, map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { FileState, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { baseName, clip } from '../../agent/lib/text.ts'
import { type Change, changeSubject, differences, isChange } from './describe.ts'
import { actorOf, writerActor, writerEvidence } from './writer.ts'

/** Reports changes of the engine's configuration: a runtime, a hook or a unit's command is enough to run as root. */
export function configurationDetections({ on }: Pick<Observed, 'on'>): Observable<Detection> {
  return on('runtime-file').pipe(
    filter(isChange),
    filter((seen) => seen.file !== 'binary' && !isExpected(seen)),
    map(describe),
  )
}

// A socket is recreated, and its owner set, at every start of its server.
const socketServers = new Set(['dockerd', 'containerd', 'systemd', 'podman'])

/** Changes that are not reported: the package manager's own, and a socket that its server creates. */
export function isExpected({ file, writer, container, before, after }: Change): boolean {
  if (container !== null && writer?.packageManager === '') return false
  if (writer !== null && writer.packageManager !== '') return true
  if (file !== 'socket') return false
  if (writer !== null && container === null && socketServers.has(baseName(writer.exe)))
    return !isOpenToAll(after)
  // The writer is unknown: only a change of access rights is reported.
  return writer === null && (after === null || before === null || isSameAccess(before, after))
}

function isOpenToAll(state: FileState | null): boolean {
  return state !== null && (state.mode & 0o002) !== 0
}

function isSameAccess(before: FileState, after: FileState): boolean {
  return before.mode === after.mode && before.uid === after.uid && before.gid === after.gid
}

const verbs = {
  written: 'changed',
  replaced: 'replaced',
  removed: 'removed',
  attributes: 'changed the mode or owner of',
} as const

function describe(seen: Change): Detection {
  const { change, path, before, after, writer, container, time, file } = seen
  const verb = change === 'replaced' && before === null ? 'created' : verbs[change]
  return {
    rule: container === null ? 'breakout-file-changed' : 'breakout-file-changed-by-container',
    time,
    container,
    summary: `${actorOf(seen)} ${verb} ${path} (${roles[file]})`,
    subject: changeSubject(seen),
    actor: writerActor(writer),
    eventKey: [change, path, after?.inode, after?.sha256, after?.mode, writer?.pid, Math.round(time)].join(
      ' ',
    ),
    evidence: {
      path,
      change,
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...differences(before, after),
      ...changedLines(before?.text ?? '', after?.text ?? ''),
    },
  }
}

const roles: Readonly<Record<RuntimeFileObservation['file'], string>> = {
  binary: 'runtime program',
  configuration: 'engine configuration',
  socket: 'engine API socket',
}

const maxLines = 20
const maxLine = 500

/** The removed and added lines. Passwords in URLs are omitted, because evidence is sent to receivers. */
export function changedLines(before: string, after: string): Detection['evidence'] {
  const [old, now] = [before.split('\n'), after.split('\n')]
  const removed = linesBeyond(old, new Set(now))
  const added = linesBeyond(now, new Set(old))
  return {
    ...(removed.length > 0 && { lines_removed: removed }),
    ...(added.length > 0 && { lines_added: added }),
  }
}

function linesBeyond(lines: readonly string[], others: ReadonlySet<string>): string[] {
  const beyond = lines.filter((line) => line.trim() !== '' && !others.has(line))
  const shown = beyond
    .slice(0, maxLines)
    .map((line) => clip(line.replace(/:\/\/[^/@\s]*@/g, '://…@'), maxLine))
  const left = beyond.length - shown.length
  return left > 0 ? [...shown, `…[${left} more lines]`] : shown
}
