import test from 'ava'
import { managerIn, type Signs, verdictOn } from '../../../detectors/runtime-path-write/verdict.ts'
import { sampleDpkg, sampleWriter } from '../../support/samples.ts'

const none: Signs = {
  change: 'replaced',
  manager: 'no',
  inContainer: false,
  digest: 'unasked',
  accepted: false,
  age: 0,
}
const byManager: Partial<Signs> = { manager: 'yes' }
const minute = 60_000

const rows: [string, Partial<Signs>, string][] = [
  ['the package manager, matching its package', { ...byManager, digest: 'matches' }, 'upgrade'],
  ['the package manager, its digest not yet written', { ...byManager, digest: 'differs' }, 'wait'],
  ['the package manager, the package not yet queried', byManager, 'wait'],
  [
    'the package manager, for a minute not matching the package',
    { ...byManager, digest: 'differs', age: minute },
    'tampering: the package manager wrote it, but it does not match its package',
  ],
  [
    'the package manager, for a minute without a package',
    { ...byManager, digest: 'no-package', age: minute },
    'tampering: the package manager wrote it, but no package contains it',
  ],
  [
    'the host’s package manager run from a container',
    { ...byManager, inContainer: true, digest: 'matches' },
    'upgrade',
  ],
  ['the package manager writing into it', { ...byManager, change: 'written', digest: 'differs' }, 'wait'],
  [
    'the package manager removing it with its package',
    { ...byManager, change: 'removed', digest: 'matches' },
    'upgrade',
  ],
  ['a container', { inContainer: true }, 'tampering'],
  ['a container, matching its package', { inContainer: true, digest: 'matches' }, 'tampering'],
  ['a container, to an accepted file', { inContainer: true, accepted: true }, 'tampering'],
  ['another process, to an accepted file', { accepted: true }, 'upgrade'],
  ['another process writing into it', { change: 'written' }, 'tampering'],
  ['another process changing its mode', { change: 'attributes', digest: 'matches' }, 'tampering'],
  ['another process removing it', { change: 'removed', digest: 'differs' }, 'tampering'],
  ['another process, the package not yet queried', {}, 'wait'],
  ['another process, and the package manager does not answer', { age: 5_000 }, 'tampering'],
  ['another process, not matching its package', { digest: 'differs' }, 'tampering'],
  ['another process, to a file without a package', { digest: 'no-package' }, 'tampering'],
  ['another process, matching its package', { digest: 'matches' }, 'wait'],
  [
    'another process, a minute ago, matching its package',
    { digest: 'matches', age: minute },
    'tampering: it matches its package, but no package manager wrote it',
  ],
  ['an unknown writer, matching its package', { manager: 'unknown', digest: 'matches' }, 'upgrade'],
  ['an unknown writer, the digest not yet written', { manager: 'unknown', digest: 'differs' }, 'wait'],
  ['an unknown writer, a second ago', { manager: 'unknown', digest: 'differs', age: 1_000 }, 'tampering'],
  ['an unknown writer writing into it', { manager: 'unknown', change: 'written' }, 'tampering'],
]

for (const [what, signs, expected] of rows) {
  test(`changed by ${what}: ${expected}`, (t) => {
    const verdict = verdictOn({ ...none, ...signs })
    const text =
      verdict.is === 'tampering' && verdict.why !== '' ? `${verdict.is}: ${verdict.why}` : verdict.is
    t.is(text, expected)
  })
}

test('an unreadable writer may or may not be the package manager', (t) => {
  t.is(managerIn({ writer: null }), 'unknown')
  t.is(managerIn({ writer: sampleWriter({ exe: '', argv: [] }) }), 'unknown')
  t.is(managerIn({ writer: sampleWriter() }), 'no')
  t.is(managerIn({ writer: sampleDpkg }), 'yes')
})
