import type { Detection, Json } from '../../agent/model/finding.ts'
import type { FileState, PackageFile, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { baseName } from '../../agent/lib/text.ts'
import { byWhom, writerEvidence } from './writer.ts'

const changes = {
  written: { rule: 'runtime-binary-written', words: 'was overwritten' },
  attributes: { rule: 'runtime-binary-written', words: 'had its mode or owner changed' },
  replaced: { rule: 'runtime-binary-replaced', words: 'was replaced' },
  removed: { rule: 'runtime-binary-replaced', words: 'was removed' },
} as const

export type Change = RuntimeFileObservation & { change: keyof typeof changes }

/** Whether something happened to a file, as opposed to its being looked at, and was not told already. */
export function isChange(seen: RuntimeFileObservation): seen is Change {
  return seen.change in changes && !seen.continued
}

/** A change of a program of the runtime that is no upgrade; `why` says what speaks against one, where something speaks for it. */
export function tampered(seen: Change, why = ''): Detection {
  const { change, path, before, after, writer, container, time } = seen
  const { rule, words } = changes[change]
  return {
    rule,
    time,
    container,
    summary: `${baseName(path)} at ${path} ${words} ${byWhom(seen)}${why === '' ? '' : `: ${why}`}`,
    subject: [path],
    act: actOf(seen),
    ...(seen.completes && { completes: true }),
    evidence: {
      path,
      change,
      ...(why !== '' && { no_upgrade_because: why }),
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...differences(before, after),
    },
  }
}

/** By the event's time, which does not change, and not by the digest: the same act is told before the file was read. */
export function actOf({ change, path, after, writer, time }: Change): string {
  return [change, path, after?.inode, writer?.pid, Math.round(time)].join(' ')
}

/** What is known of the versions on both sides of an upgrade. */
export type Upgrade = { versionBefore: string; files: readonly string[]; act: string; completes: boolean }

/** An upgrade of one package, or of one file that no package has: one finding, whatever many files it brings. */
export function upgraded(seen: Change, of: PackageFile | null, upgrade: Upgrade): Detection {
  const { path, before, after, writer, time, container } = seen
  const { versionBefore, files, act, completes } = upgrade
  const name = of === null ? path : of.name
  return {
    rule: 'runtime-upgraded',
    time,
    container,
    summary: `${name} was ${upgradeWords(of, after, versionBefore)}${writer === null ? '' : ` ${byWhom(seen)}`}`,
    subject: [name],
    act,
    ...(completes && { completes }),
    evidence: {
      files,
      ...(of !== null && {
        package: of.name,
        package_manager: of.manager,
        version_before: versionBefore,
        version_after: of.version,
      }),
      ...(of === null && after !== null && { accepted: true }),
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...differences(before, after),
    },
  }
}

function upgradeWords(of: PackageFile | null, after: FileState | null, versionBefore: string): string {
  if (after === null) return 'removed with its package'
  if (of === null) return 'replaced by a file that was accepted before'
  if (versionBefore === of.version) return `installed anew in version ${of.version}`
  return versionBefore === ''
    ? `installed in version ${of.version}`
    : `upgraded from version ${versionBefore} to ${of.version}`
}

/** That a program of the runtime is not, or is again, what it should be. */
export function mismatch(
  seen: RuntimeFileObservation,
  state: 'firing' | 'resolved',
  expected: string,
): Detection {
  const { path, after, time, package: of } = seen
  const from =
    of?.matches === false ? `what package ${of.name} ${of.version} brought` : 'what was there before'
  return {
    rule: 'runtime-binary-mismatch',
    state,
    time,
    container: null,
    summary:
      state === 'firing'
        ? `${baseName(path)} at ${path} differs from ${from}`
        : `${baseName(path)} at ${path} is as it should be again`,
    subject: [path],
    evidence: {
      path,
      sha256: after?.sha256 ?? '',
      ...(of?.matches !== false && expected !== '' && { expected_sha256: expected }),
      ...(of && { package: of.name, package_manager: of.manager, version: of.version }),
    },
  }
}

type Compared = Pick<FileState, 'sha256' | 'mode' | 'uid' | 'gid'> & Partial<Pick<FileState, 'inode'>>

/** The digests always, the rest only where it differs. */
export function differences(before: Compared | null, after: Compared | null): Detection['evidence'] {
  const changed = (key: string, of: (file: Compared) => Json | undefined) =>
    before !== null && after !== null && of(before) === of(after) ? {} : beforeAndAfter(key, of)
  const beforeAndAfter = (key: string, of: (file: Compared) => Json | undefined) => ({
    ...(before !== null && { [`${key}_before`]: of(before) }),
    ...(after !== null && { [`${key}_after`]: of(after) }),
  })
  return {
    ...beforeAndAfter('sha256', (file) => file.sha256 || undefined),
    ...changed('inode', (file) => file.inode),
    ...changed('mode', (file) => file.mode.toString(8).padStart(4, '0')),
    ...changed('owner', (file) => `${file.uid}:${file.gid}`),
  }
}
