import { isRootUser } from '../../agent/model/container.ts'
import type { FileOrigin, Gain, ProcessObservation, ProgramFile } from '../../agent/model/observation.ts'
import type { ExecEntry } from '../../agent/model/exec-view.ts'
import { configuredCapabilities } from './capabilities.ts'

/** The rules about a process's rights that apply, the most specific first. */
export function rulesOnRights(seen: ProcessObservation, entry: ExecEntry): string[] {
  const rules: string[] = []
  if (isEscalation(seen, entry)) rules.push('privilege-escalation')
  if (isUnexpectedRoot(seen) && !entry.asRoot && !isExplainedByGain(seen.gain))
    rules.push('root-in-nonroot-container')
  if (isBySetuidProgram(seen.gain)) rules.push('setuid-program')
  return rules
}

/** Whether a process is root although the configuration names another user; false if the configuration is unknown. */
export function isUnexpectedRoot({ container, process }: ProcessObservation): boolean {
  return isNonRoot({ container }) && (process.containerUid === 0 || process.containerEuid === 0)
}

/** Capabilities that a process gained in the container although its configuration does not allow them. */
export function beyondConfiguration(
  { container: { details }, origin, raisedCapabilities = 0n }: ProcessObservation,
  entry: ExecEntry,
): bigint {
  if (details === null || raisedCapabilities === 0n) return 0n
  // A process that entered with the host's own rights or by a privileged exec may raise them at any time.
  if (origin.via === 'entered' && (entry.privileged || entry.by === 'none')) return 0n
  return raisedCapabilities & ~configuredCapabilities(details)
}

function isEscalation(seen: ProcessObservation, entry: ExecEntry): boolean {
  if (beyondConfiguration(seen, entry) !== 0n) return true
  if (seen.gain?.isNew !== true) return false
  const { way, file } = seen.gain
  if (way === 'file') return outsideImage.includes(file.origin)
  // In a container configured for root, a process that still has CAP_SETUID may use it.
  return way === 'overwrite' || (isNonRoot(seen) && !entry.asRoot)
}

// A file of unknown origin may be the image's.
const outsideImage: readonly FileOrigin[] = ['container', 'volume', 'tmpfs', 'memory']

/** An earlier gain was reported when it happened; a new one is reported by its own rule. */
function isExplainedByGain(gain: Gain | undefined): boolean {
  if (gain === undefined) return false
  // A file with capabilities does not give root: the process took it later, for example by seteuid(2).
  if (!gain.isNew && gain.way === 'file' && givesOnlyCapabilities(gain.file)) return false
  return !gain.isNew || (gain.way === 'file' && gain.file.origin === 'image')
}

/** Whether a file gives its process capabilities but not its owner's id; false if unknown. */
export function givesOnlyCapabilities({ status }: ProgramFile): boolean {
  // S_ISUID of inode(7).
  return status?.hasCapabilities === true && (status.mode & 0o4000) === 0
}

function isBySetuidProgram(gain: Gain | undefined): boolean {
  return gain?.isNew === true && gain.way === 'file' && !outsideImage.includes(gain.file.origin)
}

function isNonRoot({ container: { details } }: Pick<ProcessObservation, 'container'>): boolean {
  return details !== null && !isRootUser(details.user)
}
