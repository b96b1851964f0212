import { isRootUser } from '../../agent/model/container.ts'
import type { FileOrigin, Gain, ProcessObservation, ProgramFile } from '../../agent/model/observation.ts'
import type { ExecEntry } from '../../agent/model/exec-view.ts'
import { configuredCapabilities } from './capabilities.ts'

/** The rules that speak of a process's rights, the one that says most first. */
export function rulesOnRights(seen: ProcessObservation, entry: ExecEntry): string[] {
  const rules: string[] = []
  if (isEscalation(seen, entry)) rules.push('privilege-escalation')
  if (isUnexpectedRoot(seen) && !entry.asRoot && !isExplainedByGain(seen.gain))
    rules.push('root-in-nonroot-container')
  if (isBySetuidProgram(seen.gain)) rules.push('setuid-program')
  return rules
}

/** Whether a process is root where the configuration names another user; false where nobody knows what it names. */
export function isUnexpectedRoot({ container, process }: ProcessObservation): boolean {
  return isNonRoot({ container }) && (process.containerUid === 0 || process.containerEuid === 0)
}

/** Capabilities that a process came to in the container, although its configuration withholds them. */
export function beyondConfiguration(
  { container: { details }, origin, raisedCapabilities = 0n }: ProcessObservation,
  entry: ExecEntry,
): bigint {
  if (details === null || raisedCapabilities === 0n) return 0n
  // Who enters with the host's own rights, or by a privileged exec, may keep them in its pocket.
  if (origin.via === 'entered' && (entry.privileged || entry.by === 'none')) return 0n
  return raisedCapabilities & ~configuredCapabilities(details)
}

function isEscalation(seen: ProcessObservation, entry: ExecEntry): boolean {
  if (beyondConfiguration(seen, entry) !== 0n) return true
  if (seen.gain?.isNew !== true) return false
  const { way, file } = seen.gain
  if (way === 'file') return notTheImages.includes(file.origin)
  // Where root is configured, whoever has kept CAP_SETUID may use it.
  return way === 'overwrite' || (isNonRoot(seen) && !entry.asRoot)
}

// Of an unknown origin nobody can say that it is not the image's.
const notTheImages: readonly FileOrigin[] = ['container', 'volume', 'tmpfs', 'memory']

/** An earlier gain was told when it happened, a new one is told as what it is. */
function isExplainedByGain(gain: Gain | undefined): boolean {
  if (gain === undefined) return false
  // A file that gave capabilities gave no root: that was taken later, as by seteuid(2).
  if (!gain.isNew && gain.way === 'file' && givesOnlyCapabilities(gain.file)) return false
  return !gain.isNew || (gain.way === 'file' && gain.file.origin === 'image')
}

/** Whether a file gives capabilities to who runs it, and not its owner's id; false where that is not known. */
export function givesOnlyCapabilities({ status }: ProgramFile): boolean {
  // S_ISUID of inode(7).
  return status?.hasCapabilities === true && (status.mode & 0o4000) === 0
}

function isBySetuidProgram(gain: Gain | undefined): boolean {
  return gain?.isNew === true && gain.way === 'file' && !notTheImages.includes(gain.file.origin)
}

function isNonRoot({ container: { details } }: Pick<ProcessObservation, 'container'>): boolean {
  return details !== null && !isRootUser(details.user)
}
