import test from 'ava'
import type { GainWay, ProgramFile } from '../../../../agent/model/observation.ts'
import {
  confirmedByFile,
  mayBeExec,
  type Transition,
  wayOfGain,
} from '../../../../agent/sources/processes/credentials/privilege-gain.ts'

const user = { uid: 1_000, euid: 1_000, capabilities: 0, mayRegainRoot: false }
const setuid = { uid: 1_000, euid: 0, capabilities: 0xff }
const root = { uid: 0, euid: 0, capabilities: 0xff }
const netRaw = 1 << 13
const setuidCapability = 1 << 7

function transition(rest: Partial<Transition>): Transition {
  return { before: user, after: user, change: 'executed', isExact: true, isRoot: (uid) => uid === 0, ...rest }
}

test('root and capabilities are gained by a file, by a permitted call, or by an overwrite', (t) => {
  const table: [string, Partial<Transition>, GainWay | null][] = [
    ['nothing', {}, null],
    ['a setuid file', { after: setuid }, 'file'],
    ['a setgid file: a group, but neither root nor capabilities', { after: { ...user } }, null],
    ['a file with capabilities', { after: { ...user, capabilities: netRaw } }, 'file'],
    [
      'capabilities it already had',
      { before: { ...user, capabilities: netRaw }, after: { ...user, capabilities: netRaw } },
      null,
    ],
    ['an exec by root', { before: { ...root, mayRegainRoot: true }, after: root }, null],
    [
      'a setuid program that sets its real id to root',
      { before: { ...setuid, mayRegainRoot: true }, after: root, change: 'ids-changed' },
      null,
    ],
    ['back to root', { before: { ...user, mayRegainRoot: true }, after: root, change: 'ids-changed' }, null],
    [
      'setuid(0) with CAP_SETUID',
      { before: { ...user, capabilities: setuidCapability }, after: root, change: 'ids-changed' },
      'setuid-call',
    ],
    ['root without a cause', { after: root, change: 'ids-changed' }, 'overwrite'],
    ['an exec that shows another real uid', { after: root }, 'overwrite'],
    ['the same, read late', { after: root, isExact: false }, 'file'],
    ['to another user', { after: { ...user, uid: 5, euid: 5 }, change: 'ids-changed' }, null],
  ]
  for (const [what, rest, expected] of table) t.is(wayOfGain(transition(rest)), expected, what)
})

test('root means uid 0 inside the container', (t) => {
  const mapped = transition({ after: { ...setuid, euid: 100_000 }, isRoot: (uid) => uid === 100_000 })
  t.is(wayOfGain(mapped), 'file')
  t.is(wayOfGain({ ...mapped, isRoot: (uid) => uid === 0 }), 'file')
  t.is(wayOfGain(transition({ after: { ...user, euid: 100_000 } })), null)
})

const file = (mode: number, rest: Partial<ProgramFile['status']> = {}): ProgramFile => ({
  origin: 'image',
  status: { owner: 0, mode, hasCapabilities: false, ...rest },
})

test('a file that grants nothing was not the cause', (t) => {
  const ambient = { ...user, capabilities: netRaw }
  const table: [string, Partial<Transition>, ProgramFile, GainWay | null][] = [
    ['setuid root', { after: setuid }, file(0o4755), 'file'],
    ['file capabilities', { after: ambient }, file(0o755, { hasCapabilities: true }), 'file'],
    ['a file that could not be read', { after: setuid }, { origin: 'unknown', status: null }, 'file'],
    ['a plain file', { after: setuid }, file(0o755), 'overwrite'],
    ['setgid root, which sets no uid', { after: setuid }, file(0o2755), 'overwrite'],
    ['setuid and setgid root', { after: setuid }, file(0o6755), 'file'],
    ['setuid to another user', { after: setuid }, file(0o4755, { owner: 5 }), 'overwrite'],
    [
      'a plain file, by CAP_SETUID',
      { before: { ...user, capabilities: setuidCapability }, after: setuid },
      file(0o755),
      'setuid-call',
    ],
    ['a plain file, read late', { after: setuid, isExact: false }, file(0o755), null],
    ['ambient capabilities', { after: ambient }, file(0o755), null],
  ]
  for (const [what, rest, seen, expected] of table)
    t.is(confirmedByFile(transition(rest), seen), expected, what)
})

test('an id change may belong to an exec if the real uid is unchanged', (t) => {
  const change = 'ids-changed'
  t.true(mayBeExec(transition({ after: setuid, change })))
  t.false(mayBeExec(transition({ after: root, change })))
  t.false(mayBeExec(transition({ after: setuid })))
  t.false(mayBeExec(transition({ before: { ...user, mayRegainRoot: true }, after: setuid, change })))
})
