import test from 'ava'
import { concat, NEVER, of, throwError } from 'rxjs'
import type { Observation } from '../../../../agent/model/observation.ts'
import { bestMode } from '../../../../agent/sources/processes/modes/choice.ts'
import type { Attached, Mode, ModeName, ModeContext } from '../../../../agent/sources/processes/modes/mode.ts'
import { marbles } from '../../../support/marbles.ts'
import { sampleProcess } from '../../../support/samples.ts'

const attached: Attached = { kind: 'attached', lacking: '' }
const works: Mode = () => concat(of(attached), NEVER)
const cannot =
  (reason: string): Mode =>
  () =>
    throwError(() => new Error(reason))

const denied: Mode = () =>
  throwError(() => Object.assign(new Error('bpf: EPERM (operation not permitted)'), { code: 'EPERM' }))

const choices: [
  what: string,
  wanted: 'auto' | ModeName,
  modes: Partial<Record<ModeName, Mode>>,
  status: object,
][] = [
  ['the best when all work', 'auto', {}, { mode: 'ebpf', best: true, reason: '' }],
  [
    'the next when the best is unavailable',
    'auto',
    { ebpf: cannot('no BTF') },
    { mode: 'connector', best: false, reason: 'ebpf: no BTF' },
  ],
  [
    'the last when nothing else is available',
    'auto',
    { ebpf: cannot('no BTF'), connector: cannot('EPERM') },
    { mode: 'procfs', best: false, reason: 'ebpf: no BTF; connector: EPERM' },
  ],
  [
    'the next when the privileges for the best are missing, and how to grant them',
    'auto',
    { ebpf: denied },
    {
      mode: 'connector',
      best: false,
      reason: 'ebpf: run as root or grant CAP_BPF and CAP_PERFMON: bpf: EPERM (operation not permitted)',
    },
  ],
  ['the configured mode', 'procfs', {}, { mode: 'procfs', best: true, reason: '' }],
  [
    'a mode with reduced coverage, which it reports',
    'auto',
    { ebpf: () => concat(of({ ...attached, lacking: 'no uid changes' }), NEVER) },
    { mode: 'ebpf', best: false, reason: 'ebpf: no uid changes' },
  ],
]

for (const [what, wanted, modes, status] of choices) {
  test(`the choice is ${what}`, (t) => {
    marbles(t, ({ expectObservable }) => {
      const statusOf = { kind: 'source-status', time: 5, source: 'processes', up: true, ...status }
      expectObservable(choose(wanted, modes)).toBe('a', { a: statusOf })
    })
  })
}

test('when no permitted mode works, the source fails with all reasons', (t) => {
  marbles(t, ({ expectObservable }) => {
    expectObservable(choose('ebpf', { ebpf: cannot('no BTF') })).toBe(
      '#',
      undefined,
      new Error('ebpf: no BTF'),
    )
  })
})

test('a mode that breaks is unsubscribed and replaced by the next', (t) => {
  marbles(t, ({ cold, expectObservable, expectSubscriptions }) => {
    const seen = sampleProcess()
    const values = { a: attached, p: seen as Observation }
    const ebpf = cold<Observation | Attached>('   a-p-#', values, new Error('went blind'))
    const connector = cold<Observation | Attached>('  a---', values)
    const status = { kind: 'source-status', time: 5, source: 'processes', up: true }
    expectObservable(choose('auto', { ebpf: () => ebpf, connector: () => connector }), '^-------!').toBe(
      'e-p-c',
      {
        e: { ...status, mode: 'ebpf', best: true, reason: '' },
        p: seen,
        c: { ...status, mode: 'connector', best: false, reason: 'ebpf: went blind' },
      },
    )
    expectSubscriptions(ebpf.subscriptions).toBe('     ^---!')
    expectSubscriptions(connector.subscriptions).toBe('----^---!')
  })
})

function choose(wanted: 'auto' | ModeName, modes: Partial<Record<ModeName, Mode>>) {
  const all = { ebpf: works, connector: works, procfs: works, ...modes }
  return bestMode(wanted, all, { now: () => 5 } as ModeContext)
}
