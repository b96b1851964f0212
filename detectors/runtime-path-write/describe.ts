import type { Detection, Json } from '../../agent/model/finding.ts'
import type { FileState, PackageFile, RuntimeFileObservation } from '../../agent/model/observation.ts'
import { actorOf, writerActor, writerEvidence } from './writer.ts'

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
    subject: changeSubject(seen),
    actor: writerActor(writer),
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

/**
 * What was done to which file, and the content, mode and owner that it left. The digest of a large file becomes known
 * only with the update: other contents are then another act.
 */
export function changeSubject({
  path,
  change,
  after,
}: Pick<RuntimeFileObservation, 'path' | 'change'> & {
  after: Pick<FileState, 'sha256' | 'mode' | 'uid' | 'gid'> | null
}): string[] {
  if (after === null) return [path, change]
  return [path, change, after.sha256, after.mode.toString(8), `${after.uid}:${after.gid}`]
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
  return {
    rule: 'runtime-upgraded',
    time,
    container,
    summary: `${actorOf(seen)} ${describeUpgrade(path, of, after, versionBefore)}`,
    subject: upgradeSubject(seen, of, versionBefore),
    actor: writerActor(writer),
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

/** An upgrade, a downgrade and a reinstallation of one package are different acts. */
function upgradeSubject({ path, after }: Change, of: PackageFile | null, versionBefore: string): string[] {
  if (of === null) return [path, after?.sha256 ?? 'removed']
  return [of.name, versionBefore, after === null ? 'removed' : of.version]
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

/** A runtime program differs from what it should be; `resolution` says why it no longer does, null while it does. */
export function mismatch(
  seen: RuntimeFileObservation,
  expected: string,
  resolution: string | null,
): Detection {
  const { path, after, time, package: of } = seen
  const from = of?.matches === false ? `its package ${of.name} ${of.version}` : 'its recorded baseline'
  return {
    rule: 'runtime-binary-mismatch',
    state: resolution === null ? 'firing' : 'resolved',
    time,
    container: null,
    summary: resolution ?? `${path} differs from ${from}`,
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
