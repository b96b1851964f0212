import test from 'ava'
import type { Finding } from '../../agent/model/finding.ts'
import { createThrottle, type Throttled, type ThrottledAct } from '../../agent/policy/throttle.ts'
import { throttledDetection } from '../../agent/policy/throttled-detection.ts'
import { sampleFinding } from '../support/samples.ts'

function setUp(settings: { per_container: number; per_rule: number }) {
  const clock = { now: 0 }
  const { admit, takeThrottled } = createThrottle({ settings: () => settings, now: () => clock.now })
  return {
    clock,
    admit: (rest: Partial<Finding> = {}, act: ThrottledAct = { program: '', actor: '' }) =>
      admit(sampleFinding(rest), act),
    takeThrottled,
    take(): Throttled {
      const taken = takeThrottled()
      if (taken === null) throw new Error('nothing was throttled')
      return taken
    },
  }
}

test('a budget holds one minute’s findings, refills over a minute, and each severity has its own', (t) => {
  const { admit, clock } = setUp({ per_container: 3, per_rule: 100 })
  t.deepEqual(
    [1, 2, 3, 4].map(() => admit()),
    [true, true, true, false],
  )
  t.true(admit({ severity: 'critical' }))
  t.true(admit({ container: null }))
  t.true(admit({ state: 'suppressed' }))
  clock.now = 20_000
  t.deepEqual(
    [1, 2].map(() => admit()),
    [true, false],
  )
  clock.now = 10_000
  t.false(admit())
})

const inContainer = (name: string) => ({ ...sampleFinding().container!, id: name, name })

test('a rule has one budget for all containers', (t) => {
  const { admit } = setUp({ per_container: 10, per_rule: 2 })
  const admitIn = (name: string, rule: string) => admit({ rule, container: inContainer(name) })
  t.deepEqual(
    [admitIn('a', 'x'), admitIn('b', 'x'), admitIn('c', 'x'), admitIn('c', 'y')],
    [true, true, false, true],
  )
})

test('every throttled act is accounted for, by container and rule, with its programs and actors', (t) => {
  const { admit, clock, takeThrottled, take } = setUp({ per_container: 1, per_rule: 9 })
  clock.now = 1_000
  t.is(takeThrottled(), null)
  admit()
  for (const actor of ['alice with docker', 'mallory with curl', 'mallory with curl'])
    admit({}, { program: '/bin/sh', actor })
  admit({ rule: 'exec-as-root' }, { program: 'cat', actor: '' })
  clock.now = 61_000
  t.like(throttledDetection(take(), clock.now), {
    rule: 'findings-throttled',
    summary:
      '4 more findings suppressed in the last minute: 3 interactive-shell in web-1 (/bin/sh; by mallory with curl, alice with docker), 1 exec-as-root in web-1 (cat)',
    container: { name: 'web-1' },
    evidence: {
      count: 4,
      since: '1970-01-01T00:00:01.000Z',
      groups: [
        {
          container: 'web-1',
          rule: 'interactive-shell',
          count: 3,
          programs: ['/bin/sh (3)'],
          actors: ['mallory with curl (2)', 'alice with docker (1)'],
        },
        { container: 'web-1', rule: 'exec-as-root', count: 1, programs: ['cat (1)'] },
      ],
    },
  })
  t.is(takeThrottled(), null)
})

test('however many containers, rules, programs and actors there are, the numbers add up', (t) => {
  const { admit, take } = setUp({ per_container: 1, per_rule: 1 })
  for (let n = 0; n < 100_001; n += 1)
    admit({ container: inContainer(`c${n % 3_000}`) }, { program: `p${n}`, actor: `a${n}` })
  const { evidence, summary } = throttledDetection(take(), 0)
  const { count, groups, in_other_groups: others } = evidence
  t.is(count, 100_000)
  const listed = (groups as { count: number; other_programs: number; programs: string[] }[]).map((group) => {
    t.is(group.programs.length + group.other_programs, group.count)
    return group.count
  })
  t.is(listed.reduce((sum, one) => sum + one) + Number(others), 100_000)
  t.true(summary.length < 1_000)
  t.true(JSON.stringify(evidence).length < 20_000)
})
