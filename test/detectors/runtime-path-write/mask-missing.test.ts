import test from 'ava'
import { map } from 'rxjs'
import type { ContainerObservation, MaskObservation, MissingMask } from '../../../agent/model/observation.ts'
import { maskConditions } from '../../../detectors/runtime-path-write/mask-missing.ts'
import { marbles } from '../../support/marbles.ts'
import { sampleContainer } from '../../support/samples.ts'

const keys: MissingMask = {
  what: 'masked-path',
  path: '/proc/keys',
  found: 'proc from /sys/kernel/core_pattern, writable',
}
const sys: MissingMask = { what: 'readonly-path', path: '/proc/sys', found: 'nothing is mounted on it' }
const label: MissingMask = { what: 'security-label', path: 'attr/current', found: 'unconfined' }

function look(...missing: MissingMask[]): MaskObservation {
  const state = missing.length > 0 ? 'missing' : 'intact'
  return { kind: 'masks', time: 2_000, container: sampleContainer(), pid: 4_200, state, missing }
}

const looks = {
  k: look(keys),
  b: look(keys, sys),
  s: look(sys),
  l: look(label),
  o: look(),
  u: { ...look(), state: 'unknown' as const },
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

const courses: [string, string, string, string[]][] = [
  [
    'one thing that is missing, until it is in place again',
    'k---o',
    '',
    ['firing masked-path /proc/keys', 'resolved masked-path /proc/keys'],
  ],
  [
    'each for itself',
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
    'until the container ends',
    'l----',
    '--d-r',
    ['firing security-label attr/current', 'resolved security-label attr/current'],
  ],
  ['nothing of one that is whole', 'o---o', '--d', []],
  [
    'no better because it could not be looked at',
    'k-u-o',
    '',
    ['firing masked-path /proc/keys', 'resolved masked-path /proc/keys'],
  ],
]
for (const [what, masks, containers, expected] of courses) {
  test(`a missing mask is told: ${what}`, (t) => {
    marbles(t, ({ cold, flush }) => {
      const told: string[] = []
      maskConditions({ masks$: cold(masks, looks), containers$: cold(containers, ends) })
        .pipe(map(({ state, subject }) => `${state} ${subject.join(' ')}`))
        .subscribe((line) => told.push(line))
      flush()
      t.deepEqual(told, expected)
    })
  })
}

test('it says what is there instead, at which path, and for whom', (t) => {
  marbles(t, ({ cold, expectObservable }) => {
    expectObservable(maskConditions({ masks$: cold('k', looks), containers$: cold('') })).toBe('k', {
      k: {
        rule: 'mask-missing',
        state: 'firing',
        time: 2_000,
        container: sampleContainer(),
        summary: 'the mask of /proc/keys is missing in web-1: proc from /sys/kernel/core_pattern, writable',
        subject: ['masked-path', '/proc/keys'],
        evidence: {
          missing: 'masked-path',
          path: '/proc/keys',
          found: 'proc from /sys/kernel/core_pattern, writable',
          pid: 4_200,
        },
      },
    })
  })
})

test('a container that was renamed meanwhile ends the condition under its old name', (t) => {
  marbles(t, ({ cold, flush }) => {
    const renamed = sampleContainer({ name: 'web-2' })
    const later: Record<string, MaskObservation> = { ...looks, n: { ...look(keys), container: renamed } }
    const told: string[] = []
    maskConditions({ masks$: cold('kn-', later), containers$: cold('--d', ends) }).subscribe(
      ({ state, container }) => told.push(`${state} ${container?.name}`),
    )
    flush()
    t.deepEqual(told, ['firing web-1', 'resolved web-1', 'firing web-2', 'resolved web-2'])
  })
})
