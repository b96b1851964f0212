import test from 'ava'
import type { FileOrigin, Gain, GainWay } from '../../../agent/model/observation.ts'
import { type ExecEntry, noEntry } from '../../../agent/model/exec-view.ts'
import { isUnexpectedRoot, rulesOnRights } from '../../../detectors/unexpected-root-process/judge.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'

const nonRoot = sampleContainer({ details: { user: '1000' } })
const rootUser = sampleContainer({ details: { user: 'root' } })
const unknown = sampleContainer({ details: null })
const root = { containerUid: 0, containerEuid: 0 }
const setuid = { containerUid: 1_000, containerEuid: 0 }
const sysAdmin = 1n << 21n

test('root is unexpected where another user is configured', (t) => {
  const table: [string, Parameters<typeof sampleProcess>[0], boolean][] = [
    ['root', { container: nonRoot, process: root }, true],
    ['effective root, as a setuid program has it', { container: nonRoot, process: setuid }, true],
    ['real root', { container: nonRoot, process: { containerUid: 0, containerEuid: 1000 } }, true],
    ['the configured user', { container: nonRoot }, false],
    [
      'the host’s root, not the container’s',
      { container: nonRoot, process: { uid: 0, containerUid: 65_534 } },
      false,
    ],
    ['root where root is configured', { container: rootUser, process: root }, false],
    ['root where the configured user is unknown', { container: unknown, process: root }, false],
  ]
  for (const [what, process, expected] of table)
    t.is(isUnexpectedRoot(sampleProcess(process)), expected, what)
})

const gain = (way: GainWay, origin: FileOrigin = 'image', isNew = true): Gain => ({
  way,
  isNew,
  by: { pid: 5_000, startTicks: 100, exe: '/app' },
  file: { origin, status: { owner: 0, mode: 0o4755, hasCapabilities: false } },
  before: { uid: 1_000, euid: 1_000, capabilities: 0n },
})

const byCapabilities: Gain = {
  ...gain('file', 'image', false),
  file: { origin: 'image', status: { owner: 0, mode: 0o755, hasCapabilities: true } },
}

const escalation = 'privilege-escalation'
const unexpected = 'root-in-nonroot-container'
const program = 'setuid-program'

test('the gained rights and their cause decide which rules apply, and in which order', (t) => {
  const table: [string, Parameters<typeof sampleProcess>[0], Partial<ExecEntry>, string[]][] = [
    ['a setuid program of the image', { process: setuid, gain: gain('file') }, {}, [program]],
    [
      'root taken with the capabilities of a file',
      { process: setuid, gain: byCapabilities },
      {},
      [unexpected],
    ],
    ['a program run after that', { process: root, gain: gain('file', 'image', false) }, {}, []],
    [
      'a file of the container',
      { process: setuid, gain: gain('file', 'container') },
      {},
      [escalation, unexpected],
    ],
    ['a file of a volume', { process: setuid, gain: gain('file', 'volume') }, {}, [escalation, unexpected]],
    ['a file on a tmpfs', { process: setuid, gain: gain('file', 'tmpfs') }, {}, [escalation, unexpected]],
    ['a file in memory', { process: setuid, gain: gain('file', 'memory') }, {}, [escalation, unexpected]],
    ['a program run after that', { process: root, gain: gain('file', 'volume', false) }, {}, []],
    [
      'a file of unknown origin',
      { process: setuid, gain: gain('file', 'unknown') },
      {},
      [unexpected, program],
    ],
    ['capabilities of a file of the container', { gain: gain('file', 'container') }, {}, [escalation]],
    ['ids changed by CAP_SETUID', { process: root, gain: gain('setuid-call') }, {}, [escalation, unexpected]],
    ['the same, after an exec as root', { process: root, gain: gain('setuid-call') }, { asRoot: true }, []],
    [
      'the same, where root is configured',
      { container: rootUser, process: root, gain: gain('setuid-call') },
      {},
      [],
    ],
    ['ids overwritten', { process: root, gain: gain('overwrite') }, {}, [escalation, unexpected]],
    [
      'ids overwritten where root is configured',
      { container: rootUser, process: root, gain: gain('overwrite') },
      {},
      [escalation],
    ],
    [
      'a file of a volume where root is configured',
      { container: rootUser, process: setuid, gain: gain('file', 'volume') },
      {},
      [escalation],
    ],
    [
      'a setuid program of the image where root is configured',
      { container: rootUser, process: setuid, gain: gain('file') },
      {},
      [program],
    ],
    ['root without a known cause', { process: root }, {}, [unexpected]],
    ['root by an exec as root', { process: root }, { by: 'exec', asRoot: true }, []],
    [
      'capabilities beyond the configuration',
      { container: rootUser, process: root, raisedCapabilities: sysAdmin },
      {},
      [escalation],
    ],
    ['capabilities within it', { container: rootUser, process: root, raisedCapabilities: 1n << 7n }, {}, []],
    [
      'all capabilities, of a privileged container',
      {
        container: sampleContainer({ details: { privileged: true } }),
        process: root,
        raisedCapabilities: sysAdmin,
      },
      {},
      [],
    ],
    [
      'capabilities where the configuration is unknown',
      { container: unknown, raisedCapabilities: sysAdmin },
      {},
      [],
    ],
  ]
  for (const [what, seen, entry, expected] of table) {
    t.deepEqual(
      rulesOnRights(sampleProcess({ container: nonRoot, ...seen }), { ...noEntry, ...entry }),
      expected,
      what,
    )
  }
})

test('capabilities of a process that entered count only if an unprivileged exec brought it in', (t) => {
  const entry = { pid: 77, startTicks: 1, startedAt: 10_000 }
  const seen = sampleProcess({
    container: rootUser,
    raisedCapabilities: sysAdmin,
    origin: { via: 'entered', entry, execId: '', by: [] },
  })
  t.deepEqual(rulesOnRights(seen, { by: 'exec', asRoot: true, privileged: false }), [escalation])
  t.deepEqual(rulesOnRights(seen, { by: 'exec', asRoot: true, privileged: true }), [])
  t.deepEqual(rulesOnRights(seen, noEntry), [])
})
