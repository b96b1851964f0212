import { withProgram } from '../../agent/model/actor.ts'
import { isoTime } from '../../agent/lib/iso-time.ts'
import type { Detection, Json } from '../../agent/model/finding.ts'
import type { FileOrigin, Gain, ProcessObservation, ProgramFile } from '../../agent/model/observation.ts'
import { commandSubject, processEvidence } from '../../agent/model/process-evidence.ts'
import { userName, userNameOfId } from '../../agent/model/user-name.ts'
import { baseName, clip, quotedCommand } from '../../agent/lib/text.ts'
import { timesOfProcess } from '../../agent/model/times.ts'
import { capabilityNames } from './capabilities.ts'
import { givesOnlyCapabilities } from './judge.ts'
import { programNames } from './program.ts'

/**
 * The finding of the first of these rules; `beyond` are capabilities that the container's configuration does not
 * allow, and `startedBy` is who started the process, if known.
 */
export function describe(
  seen: ProcessObservation,
  rules: readonly string[],
  beyond: bigint,
  startedBy?: string,
): Detection {
  const [rule = '', ...also] = rules
  const { container, process, file, gain } = seen
  const isRoot = process.containerUid === 0 || process.containerEuid === 0
  return {
    rule,
    ...timesOfProcess(seen),
    container,
    summary: summaryOf(seen, rule, beyond),
    subject: subjectOf(seen, rule),
    targetUser: isRoot ? 'root' : userNameOfId(process.containerUid),
    actor: actorOf(seen, startedBy),
    eventKey: eventKeyOf(seen, rule),
    also,
    evidence: {
      ...processEvidence(process),
      euid: process.containerEuid,
      host_uid: process.uid,
      host_euid: process.euid,
      // Under userns-remap and in rootless mode the container's root is an unprivileged user on the host.
      ...(isRoot ? { root_on_host: process.uid === 0 || process.euid === 0 } : {}),
      configured_user: container.details?.user ?? '',
      started_at: isoTime(process.startedAt),
      ...fileEvidence(file),
      ...(gain?.isNew === true ? gainEvidence(seen, gain, beyond) : {}),
      ...(beyond === 0n ? {} : { capabilities_beyond_configuration: capabilityNames(beyond) }),
    },
  }
}

function summaryOf(seen: ProcessObservation, rule: string, beyond: bigint): string {
  const { container, process, file, gain } = seen
  const { name, image } = container
  const program = baseName(process.exe) || process.comm
  const command = process.argv.length === 0 ? program : quotedCommand(process.argv)
  switch (rule) {
    case 'privilege-escalation':
      return `${escalationPhrase(seen, program, beyond)} (${command})`
    case 'setuid-program': {
      const who = gain === undefined ? 'a process' : userNameOfId(gain.before.uid)
      const from = file?.origin === 'image' ? ' of the image' : ''
      return `${who} ran ${program}, a ${kindOf(file)}${from}, in ${name} (${command})`
    }
    case 'new-root-program':
      return `root ran ${command} in ${name} (first run of ${program} as root${image === '' ? '' : ` in ${image}`})`
    default:
      return `${program} runs as root in ${name} (${command}, ${name} is configured for ${userName(container.details?.user ?? '')})`
  }
}

function escalationPhrase(seen: ProcessObservation, program: string, beyond: bigint): string {
  const { gain, process, container } = seen
  const rights = gainedRights(seen, beyond)
  const gained = `${program} gained ${rights} in ${container.name}`
  if (gain?.isNew !== true) return gained
  if (gain.way === 'setuid-call') return `${gained} by changing its ids, without running a program`
  if (gain.way === 'overwrite')
    return `${gained} without a setuid program or setuid(2), as a kernel exploit does`
  const path = clip(process.exe, 128) || program
  const means = givesOnlyCapabilities(gain.file) ? 'file capabilities' : 'setuid'
  return `${path}, ${originPhrases[gain.file.origin]}, gave ${rights} through ${means} in ${container.name}`
}

const originPhrases: Readonly<Record<FileOrigin, string>> = {
  image: 'from the image',
  container: 'created or changed inside the container',
  volume: 'from a mount or volume',
  tmpfs: 'from a tmpfs',
  memory: 'from memory without a file',
  unknown: 'of unknown origin',
}

function gainedRights({ process }: ProcessObservation, beyond: bigint): string {
  if (beyond !== 0n) return 'capabilities beyond the container’s configuration'
  return process.containerUid === 0 || process.containerEuid === 0 ? 'root' : 'capabilities'
}

function kindOf(file: ProgramFile | undefined): string {
  return file !== undefined && givesOnlyCapabilities(file)
    ? 'program with file capabilities'
    : 'setuid program'
}

/** The origin too: a program from elsewhere is another act. */
function subjectOf(seen: ProcessObservation, rule: string): string[] {
  const { process, file, gain } = seen
  const command = commandSubject(process)
  if (rule === 'new-root-program') return [...command, programNames(seen)[0] ?? '']
  const origin = file?.origin ?? 'unknown'
  return rule === 'privilege-escalation'
    ? [...command, origin, gain?.way ?? 'capabilities']
    : [...command, origin]
}

/** Who started it, and which user and program it was before it gained its rights. */
function actorOf({ gain, process }: ProcessObservation, startedBy: string | undefined): string | undefined {
  if (gain === undefined) return startedBy
  const before = userNameOfId(gain.before.uid)
  const gainer = gain.by.pid === process.pid ? before : withProgram(before, { ...gain.by, argv: [] })
  return startedBy === undefined ? gainer : `${startedBy}, ${gainer}`
}

/** Unexpected root is reported once per process, whatever it runs later. */
function eventKeyOf({ container, process }: ProcessObservation, rule: string): string {
  const key = `${container.id}:${process.pid}:${process.startTicks}`
  return rule === 'root-in-nonroot-container' ? key : `${key}:${process.exe}`
}

function fileEvidence(file: ProgramFile | undefined): Record<string, Json> {
  if (file === undefined) return {}
  const { origin, status } = file
  if (status === null) return { file_origin: origin }
  return {
    file_origin: origin,
    file_owner: status.owner,
    file_mode: status.mode.toString(8).padStart(4, '0'),
    ...(status.hasCapabilities !== null && { file_has_capabilities: status.hasCapabilities }),
  }
}

function gainEvidence(
  { process: { capabilities } }: ProcessObservation,
  { way, before }: Gain,
  beyond: bigint,
): Record<string, Json> {
  return {
    gained_by: way,
    uid_before: before.uid,
    euid_before: before.euid,
    capabilities_gained: capabilityNames((capabilities & ~before.capabilities) | beyond),
    // It stops only gains through files (Documentation/userspace-api/no_new_privs.rst).
    no_new_privileges_would_stop_it: way === 'file',
  }
}
