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
  ['the package manager to what the package brought', { ...byManager, digest: 'matches' }, 'upgrade'],
  ['the package manager, its digest not yet in place', { ...byManager, digest: 'differs' }, 'wait'],
  ['the package manager, the package not yet asked', byManager, 'wait'],
  [
    'the package manager, for a minute not what the package brought',
    { ...byManager, digest: 'differs', age: minute },
    'tampering: the package manager wrote it, but it is not what the package brought',
  ],
  [
    'the package manager, for a minute of no package',
    { ...byManager, digest: 'no-package', age: minute },
    'tampering: the package manager wrote it, but no package has it',
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
  ['a container, to what the package brought', { inContainer: true, digest: 'matches' }, 'tampering'],
  ['a container, to what was accepted', { inContainer: true, accepted: true }, 'tampering'],
  ['somebody, to what was accepted', { accepted: true }, 'upgrade'],
  ['somebody writing into it', { change: 'written' }, 'tampering'],
  ['somebody changing its mode', { change: 'attributes', digest: 'matches' }, 'tampering'],
  ['somebody removing it', { change: 'removed', digest: 'differs' }, 'tampering'],
  ['somebody, the package not yet asked', {}, 'wait'],
  ['somebody, and the package does not answer', { age: 5_000 }, 'tampering'],
  ['somebody, to something else', { digest: 'differs' }, 'tampering'],
  ['somebody, to a file of no package', { digest: 'no-package' }, 'tampering'],
  ['somebody, to what the package brought', { digest: 'matches' }, 'wait'],
  [
    'somebody, a minute ago, to what the package brought',
    { digest: 'matches', age: minute },
    'tampering: it is what its package brought, but no package manager wrote it',
  ],
  ['nobody seen, to what the package brought', { manager: 'unknown', digest: 'matches' }, 'upgrade'],
  ['nobody seen, the digest not yet in place', { manager: 'unknown', digest: 'differs' }, 'wait'],
  ['nobody seen, a second ago', { manager: 'unknown', digest: 'differs', age: 1_000 }, 'tampering'],
  ['nobody seen writing into it', { manager: 'unknown', change: 'written' }, 'tampering'],
]

for (const [what, signs, expected] of rows) {
  test(`changed by ${what}: ${expected}`, (t) => {
    const verdict = verdictOn({ ...none, ...signs })
    const text =
      verdict.is === 'tampering' && verdict.why !== '' ? `${verdict.is}: ${verdict.why}` : verdict.is
    t.is(text, expected)
  })
}

test('of a writer that nobody could look at, it is not known whether it was the package manager', (t) => {
  t.is(managerIn({ writer: null }), 'unknown')
  t.is(managerIn({ writer: sampleWriter({ exe: '', argv: [] }) }), 'unknown')
  t.is(managerIn({ writer: sampleWriter() }), 'no')
  t.is(managerIn({ writer: sampleDpkg }), 'yes')
})
