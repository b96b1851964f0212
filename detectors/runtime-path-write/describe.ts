import type { Detection, Json } from '../../agent/model/finding.ts'
import type { FileState, PackageFile, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { actorOf, writerEvidence } from './writer.ts'

const changes = {
  written: { rule: 'runtime-binary-written', verb: 'overwrote' },
  attributes: { rule: 'runtime-binary-written', verb: 'changed the mode or owner of' },
  replaced: { rule: 'runtime-binary-replaced', verb: 'replaced' },
  removed: { rule: 'runtime-binary-replaced', verb: 'removed' },
} as const

export type Change = RuntimeFileObservation & { change: keyof typeof changes }

/** Whether the observation is a new change of a file, not a mere reading or the rest of a reported write. */
export function isChange(seen: RuntimeFileObservation): seen is Change {
  return seen.change in changes && !seen.continued
}

/** A change of a runtime program that is not an upgrade; `why` says why not, if one sign of an upgrade is present. */
export function tampered(seen: Change, why = ''): Detection {
  const { change, path, before, after, writer, container, time } = seen
  const { rule, verb } = changes[change]
  return {
    rule,
    time,
    container,
    summary: `${actorOf(seen)} ${verb} ${path}${why === '' ? '' : `: ${why}`}`,
    subject: [path],
    eventKey: eventKeyOf(seen),
    ...(seen.isUpdate && { isUpdate: true }),
    evidence: {
      path,
      change,
      ...(why !== '' && { no_upgrade_because: why }),
      ...(writer !== null && { writer: writerEvidence(writer) }),
      ...differences(before, after),
    },
  }
}

/** Uses the event's time, which does not change, and not the digest: a change is reported before the file is read. */
export function eventKeyOf({ change, path, after, writer, time }: Change): string {
  return [change, path, after?.inode, writer?.pid, Math.round(time)].join(' ')
}

/** The files of an upgrade, and the version before it. */
export type Upgrade = { versionBefore: string; files: readonly string[]; eventKey: string; isUpdate: boolean }

/** An upgrade of one package, or of one file that no package contains: one finding, however many files it has. */
export function upgraded(seen: Change, of: PackageFile | null, upgrade: Upgrade): Detection {
  const { path, before, after, writer, time, container } = seen
  const { versionBefore, files, eventKey, isUpdate } = upgrade
  const name = of === null ? path : of.name
  return {
    rule: 'runtime-upgraded',
    time,
    container,
    summary: `${actorOf(seen)} ${describeUpgrade(path, of, after, versionBefore)}`,
    subject: [name],
    eventKey,
    ...(isUpdate && { isUpdate }),
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

function describeUpgrade(
  path: string,
  of: PackageFile | null,
  after: FileState | null,
  versionBefore: string,
): string {
  if (after === null) return of === null ? `removed ${path} with its package` : `removed files of ${of.name}`
  if (of === null) return `replaced ${path} with a previously accepted file`
  if (versionBefore === of.version) return `reinstalled ${of.name} ${of.version}`
  return versionBefore === ''
    ? `installed ${of.name} ${of.version}`
    : `upgraded ${of.name} from ${versionBefore} to ${of.version}`
}

/** Whether a runtime program differs from what it should be. */
export function mismatch(
  seen: RuntimeFileObservation,
  state: 'firing' | 'resolved',
  expected: string,
): Detection {
  const { path, after, time, package: of } = seen
  const from = of?.matches === false ? `its package ${of.name} ${of.version}` : 'its recorded baseline'
  return {
    rule: 'runtime-binary-mismatch',
    state,
    time,
    container: null,
    summary: state === 'firing' ? `${path} differs from ${from}` : `${path} is in its expected state again`,
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

/** The digests, and other attributes only if they differ. */
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
