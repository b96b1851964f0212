import { filter, map, type Observable } from 'rxjs'
import type { Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { FileState, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { baseName, clip } from '../../agent/lib/text.ts'
import { type Change, differences, isChange } from './describe.ts'
import { byWhom, writerEvidence } from './writer.ts'

/** Tells changes of what configures the engine: a runtime, a hook or a unit's command is enough to run as root. */
export function configurationDetections({
  runtimeFiles$,
}: Pick<Observed, 'runtimeFiles$'>): Observable<Detection> {
  return runtimeFiles$.pipe(
    filter(isChange),
    filter((seen) => seen.file !== 'binary' && !isExpected(seen)),
    map(describe),
  )
}

// A socket is made anew, and given its owner, at every start of its server.
const socketMakers = new Set(['dockerd', 'containerd', 'systemd', 'podman'])

/** What is told as nothing: the package manager's own files, and a socket as its server makes it. */
export function isExpected({ file, writer, container, before, after }: Change): boolean {
  if (container !== null && writer?.packageManager === '') return false
  if (writer !== null && writer.packageManager !== '') return true
  if (file !== 'socket') return false
  if (writer !== null && container === null && socketMakers.has(baseName(writer.exe)))
    return !isOpenToAll(after)
  // Nobody was seen: only who may write to it tells something.
  return writer === null && (after === null || before === null || isSameAccess(before, after))
}

function isOpenToAll(state: FileState | null): boolean {
  return state !== null && (state.mode & 0o002) !== 0
}

function isSameAccess(before: FileState, after: FileState): boolean {
  return before.mode === after.mode && before.uid === after.uid && before.gid === after.gid
}

const words = {
  written: 'was changed',
  replaced: 'was replaced',
  removed: 'was removed',
  attributes: 'had its mode or owner changed',
} as const

function describe(seen: Change): Detection {
  const { change, path, before, after, writer, container, time, file } = seen
  const what = change === 'replaced' && before === null ? 'was made' : words[change]
  return {
    rule: container === null ? 'breakout-file-changed' : 'breakout-file-changed-by-container',
    time,
    container,
    summary: `${path}, ${roles[file]}, ${what} ${byWhom(seen)}`,
    subject: [path],
    act: [change, path, after?.inode, after?.sha256, after?.mode, writer?.pid, Math.round(time)].join(' '),
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
  binary: 'a program of the runtime',
  configuration: 'which configures the engine',
  socket: 'by which the engine takes orders',
}

const maxLines = 20
const maxLine = 500

/** The lines that went and that came; passwords in addresses are left out, for evidence is sent on. */
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
  const kept = beyond
    .slice(0, maxLines)
    .map((line) => clip(line.replace(/:\/\/[^/@\s]*@/g, '://…@'), maxLine))
  const left = beyond.length - kept.length
  return left > 0 ? [...kept, `…[${left} more lines]`] : kept
}
