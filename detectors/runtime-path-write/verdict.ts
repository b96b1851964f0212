import type { RuntimeFileObservation } from '../../agent/model/observation.ts'
import type { Change } from './describe.ts'

/** The signs for and against an upgrade. */
export type Signs = {
  change: Change['change']
  /** Whether the writer or an ancestor is the host's package manager; `unknown` if the writer is. */
  manager: 'yes' | 'no' | 'unknown'
  /** The writer is in a container. */
  inContainer: boolean
  /** Whether the file matches its package; `unasked` before the package managers have answered. */
  digest: 'matches' | 'differs' | 'no-package' | 'unasked'
  /** An operator or the configuration has accepted this digest. */
  accepted: boolean
  /** Milliseconds since the change. */
  age: number
}

export type Verdict = { is: 'wait' } | { is: 'upgrade' } | { is: 'tampering'; why: string }

// Both signs of an upgrade must be present by then.
const deadlineMs = 60_000
// If the writer is unknown, the digest alone decides; dpkg writes it some milliseconds after the file.
const unknownWriterMs = 1_000
// The package managers answer within a second on a busy host: the largest program is 100 MB.
const answerMs = 5_000

/**
 * An upgrade is a change by the package manager to a file that matches its package. A change with neither sign is
 * reported at once, a change with one sign if the other does not appear within a minute. Package managers replace
 * files and never write into them, so a write is judged without waiting.
 */
export function verdictOn({ change, manager, inContainer, digest, accepted, age }: Signs): Verdict {
  if (manager === 'yes') {
    if (digest === 'matches') return upgrade
    if (age < deadlineMs) return wait
    return tampering(
      digest === 'differs'
        ? 'the package manager wrote it, but it does not match its package'
        : 'the package manager wrote it, but no package contains it',
    )
  }
  if (inContainer) return tampering()
  if (accepted) return upgrade
  if (change === 'written' || change === 'attributes') return tampering()
  if (digest === 'unasked') return age < answerMs ? wait : tampering()
  if (manager === 'unknown') {
    if (digest === 'matches') return upgrade
    return age < unknownWriterMs ? wait : tampering()
  }
  if (digest !== 'matches' || change === 'removed') return tampering()
  return age < deadlineMs ? wait : tampering('it matches its package, but no package manager wrote it')
}

const wait: Verdict = { is: 'wait' }
const upgrade: Verdict = { is: 'upgrade' }
const tampering = (why = ''): Verdict => ({ is: 'tampering', why })

/** Whether the package manager made the change; `unknown` for a writer that could not be read. */
export function managerIn({ writer }: Pick<RuntimeFileObservation, 'writer'>): Signs['manager'] {
  if (writer === null || (writer.exe === '' && writer.ancestors.length === 0)) return 'unknown'
  return writer.packageManager === '' ? 'no' : 'yes'
}
