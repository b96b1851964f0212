import test from 'ava'
import { map } from 'rxjs'
import type { ContainerObservation, MaskObservation, MissingMask } from '../../../agent/model/observation.ts'
import { maskConditions } from '../../../detectors/runtime-path-write/mask-missing.ts'
import { marbles } from '../../support/marbles.ts'
import { sampleContainer } from '../../support/samples.ts'
import { observing } from '../../support/observed.ts'

const keys: MissingMask = {
  what: 'masked-path',
  path: '/proc/keys',
  found: 'proc from /sys/kernel/core_pattern, writable',
}
const sys: MissingMask = { what: 'readonly-path', path: '/proc/sys', found: 'nothing is mounted on it' }
const label: MissingMask = { what: 'security-label', path: 'attr/current', found: 'unconfined' }

function observe(...missing: MissingMask[]): MaskObservation {
  const state = missing.length > 0 ? 'missing' : 'intact'
  return { kind: 'masks', time: 2_000, container: sampleContainer(), pid: 4_200, state, missing }
}

const observations = {
  k: observe(keys),
  b: observe(keys, sys),
  s: observe(sys),
  l: observe(label),
  o: observe(),
  u: { ...observe(), state: 'unknown' as const },
}
const ends = {
  d: {
    kind: 'container',
    action: 'died',
    time: 3_000,
    container: sampleContainer(),
    exitCode: 0,
    previousName: null,
  },
  r: {
    kind: 'container',
    action: 'removed',
    time: 3_000,
    container: sampleContainer(),
    exitCode: null,
    previousName: null,
  },
} as Record<string, ContainerObservation>

const cases: [string, string, string, string[]][] = [
  [
    'one mask, until it is in place again',
    'k---o',
    '',
    ['firing masked-path /proc/keys', 'resolved masked-path /proc/keys'],
  ],
  [
    'each mask separately',
    'b---s',
    '',
    [
      'firing masked-path /proc/keys',
      'firing readonly-path /proc/sys',
      'resolved masked-path /proc/keys',
      'firing readonly-path /proc/sys',
    ],
  ],
  [
    'until the container stops',
    'l----',
    '--d-r',
    ['firing security-label attr/current', 'resolved security-label attr/current'],
  ],
  ['nothing for a container with all masks', 'o---o', '--d', []],
  [
    'still missing while the container cannot be read',
    'k-u-o',
    '',
    ['firing masked-path /proc/keys', 'resolved masked-path /proc/keys'],
  ],
]
for (const [what, masks, containers, expected] of cases) {
  test(`a missing mask is reported: ${what}`, (t) => {
    marbles(t, ({ cold, flush }) => {
      const reported: string[] = []
      maskConditions(observing({ masks: cold(masks, observations), container: cold(containers, ends) }))
        .pipe(map(({ state, subject }) => `${state} ${subject.join(' ')}`))
        .subscribe((line) => reported.push(line))
      flush()
      t.deepEqual(reported, expected)
    })
  })
}

test('the finding names the container, the path and what was found there', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    expectObservable(maskConditions(observing({ masks: cold('k', observations), container: cold('') }))).toBe(
      'k',
      {
        k: {
          rule: 'mask-missing',
          state: 'firing',
          time: 2_000,
          container: sampleContainer(),
          summary:
            'web-1: the mask over /proc/keys is missing (proc from /sys/kernel/core_pattern, writable)',
          subject: ['masked-path', '/proc/keys'],
          evidence: {
            missing: 'masked-path',
            path: '/proc/keys',
            found: 'proc from /sys/kernel/core_pattern, writable',
            pid: 4_200,
          },
        },
      },
    )
  })
})

test('the condition of a renamed container continues, and resolves under its current name', (t) => {
  marbles(t, ({ cold, flush }) => {
    const renamed = sampleContainer({ name: 'web-2' })
    const later: Record<string, MaskObservation> = {
      ...observations,
      n: { ...observe(keys), container: renamed },
    }
    const end: ContainerObservation = {
      ...{ kind: 'container', action: 'died', time: 3_000, exitCode: 0, previousName: null },
      container: renamed,
    }
    const reported: string[] = []
    maskConditions(
      observing({
        masks: cold('kn-', later),
        container: cold('--d', { d: end }),
      }),
    ).subscribe(({ state, container }) => reported.push(`${state} ${container?.name}`))
    flush()
    t.deepEqual(reported, ['firing web-1', 'firing web-2', 'resolved web-2'])
  })
})
