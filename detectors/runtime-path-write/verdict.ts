import type { RuntimeFileObservation } from '../../agent/model/observation.ts'
import type { Change } from './describe.ts'

/** What speaks for and against an upgrade. */
export type Signs = {
  change: Change['change']
  /** Whether the writer or an ancestor is the host's package manager; `unknown` where nobody was seen. */
  manager: 'yes' | 'no' | 'unknown'
  /** The writer is in a container. */
  inContainer: boolean
  /** Whether the file is what a package brought; `unasked` before the package managers have answered. */
  digest: 'matches' | 'differs' | 'no-package' | 'unasked'
  /** A person or the configuration has accepted this digest. */
  accepted: boolean
  /** Milliseconds since the change. */
  age: number
}

export type Verdict = { is: 'wait' } | { is: 'upgrade' } | { is: 'tampering'; why: string }

// Both signs of an upgrade must be there by then.
const deadlineMs = 60_000
// Where nobody was seen the digest alone speaks; dpkg puts it in place some milliseconds after the file.
const unseenMs = 1_000
// The package managers answer in a second on a busy host: the largest program has 100 MB.
const answerMs = 5_000

/**
 * An upgrade is a change by the package manager to what a package brought. What has neither sign is told at once,
 * what has one of them when the other did not come in a minute. Package managers replace files and never write into
 * them, so a write needs no waiting.
 */
export function verdictOn({ change, manager, inContainer, digest, accepted, age }: Signs): Verdict {
  if (manager === 'yes') {
    if (digest === 'matches') return upgrade
    if (age < deadlineMs) return wait
    return tampering(
      digest === 'differs'
        ? 'the package manager wrote it, but it is not what the package brought'
        : 'the package manager wrote it, but no package has it',
    )
  }
  if (inContainer) return tampering()
  if (accepted) return upgrade
  if (change === 'written' || change === 'attributes') return tampering()
  if (digest === 'unasked') return age < answerMs ? wait : tampering()
  if (manager === 'unknown') {
    if (digest === 'matches') return upgrade
    return age < unseenMs ? wait : tampering()
  }
  if (digest !== 'matches' || change === 'removed') return tampering()
  return age < deadlineMs
    ? wait
    : tampering('it is what its package brought, but no package manager wrote it')
}

const wait: Verdict = { is: 'wait' }
const upgrade: Verdict = { is: 'upgrade' }
const tampering = (why = ''): Verdict => ({ is: 'tampering', why })

/** Whether the package manager did it: of a process that nobody could look at, not even that is known. */
export function managerIn({ writer }: Pick<RuntimeFileObservation, 'writer'>): Signs['manager'] {
  if (writer === null || (writer.exe === '' && writer.ancestors.length === 0)) return 'unknown'
  return writer.packageManager === '' ? 'no' : 'yes'
}
