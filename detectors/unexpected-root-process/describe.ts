import { isoTime } from '../../agent/lib/iso-time.ts'
import type { Detection, Json } from '../../agent/model/finding.ts'
import type { Gain, ProcessObservation, ProgramFile } from '../../agent/model/observation.ts'
import { processEvidence } from '../../agent/model/process-evidence.ts'
import { baseName, clip, commandLine } from '../../agent/lib/text.ts'
import { capabilityNames } from './capabilities.ts'
import { givesOnlyCapabilities } from './judge.ts'
import { programNames } from './program.ts'

/** The finding that the first of these rules makes; `beyond` are capabilities that the configuration withholds. */
export function describe(seen: ProcessObservation, rules: readonly string[], beyond: bigint): Detection {
  const [rule = '', ...also] = rules
  const { container, process, time, file, gain } = seen
  const isRoot = process.containerUid === 0 || process.containerEuid === 0
  return {
    rule,
    time,
    container,
    summary: summaryOf(seen, rule, beyond),
    subject: subjectOf(seen, rule),
    act: actOf(seen, rule),
    also,
    evidence: {
      ...processEvidence(process),
      euid: process.containerEuid,
      host_uid: process.uid,
      host_euid: process.euid,
      // Under userns-remap and rootless the container's root is nobody on the host.
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
  const { container, process, file } = seen
  const program = baseName(process.exe) || process.comm
  const ran = clip(commandLine(process.argv), 160)
  switch (rule) {
    case 'privilege-escalation':
      return `${program} gained ${gained(seen, beyond)} in ${container.name} ${how(seen, beyond)}: ${ran}`
    case 'setuid-program':
      return `${program}, a ${kindOf(file)}${file?.origin === 'image' ? ' of the image' : ''}, was used in ${container.name}: ${ran}`
    case 'new-root-program':
      return `${program} ran as root in ${container.name}, for the first time in ${container.image || 'it'}: ${ran}`
    default:
      return `${program} runs as root in ${container.name}, which is configured to run as ${container.details?.user ?? ''}: ${ran}`
  }
}

function gained({ process }: ProcessObservation, beyond: bigint): string {
  if (beyond !== 0n) return 'capabilities beyond its configuration'
  return process.containerUid === 0 || process.containerEuid === 0 ? 'root' : 'capabilities'
}

function how({ gain }: ProcessObservation, beyond: bigint): string {
  if (gain?.isNew !== true) return beyond === 0n ? '' : 'without a right to them'
  const ways = {
    file: `by a ${fileKindOf(gain.file)} that is not the image’s (${gain.file.origin})`,
    'setuid-call': 'by changing its ids without running a program',
    overwrite: 'without anything that gives it, as an exploit of the kernel does',
  }
  return ways[gain.way]
}

function kindOf(file: ProgramFile | undefined): string {
  return file !== undefined && givesOnlyCapabilities(file)
    ? 'program with file capabilities'
    : 'setuid program'
}

function fileKindOf(file: ProgramFile): string {
  return givesOnlyCapabilities(file) ? 'file with capabilities' : 'setuid file'
}

function subjectOf(seen: ProcessObservation, rule: string): string[] {
  if (rule === 'new-root-program') return [programNames(seen)[0] ?? '']
  if (rule === 'privilege-escalation') return [seen.process.exe, seen.gain?.way ?? 'capabilities']
  return [seen.process.exe]
}

/** Root where it should not be is told once of a process, whatever it goes on to run. */
function actOf({ container, process }: ProcessObservation, rule: string): string {
  const who = `${container.id}:${process.pid}:${process.startTicks}`
  return rule === 'root-in-nonroot-container' ? who : `${who}:${process.exe}`
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
    // It only keeps files from giving rights (Documentation/userspace-api/no_new_privs.rst).
    no_new_privileges_would_stop_it: way === 'file',
  }
}
