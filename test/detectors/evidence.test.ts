import test from 'ava'
import type { Detection } from '../../agent/model/finding.ts'
import type { GainWay } from '../../agent/model/observation.ts'
import { throttledDetection } from '../../agent/policy/throttled-detection.ts'
import { detectors } from '../../detectors/index.ts'
import { openedAttempt, requestedAttempt } from '../../detectors/runtime-path-write/attempt-steps.ts'
import { gatherAttempts } from '../../detectors/runtime-path-write/attempts.ts'
import { breakoutFileDetection } from '../../detectors/runtime-path-write/breakout-files.ts'
import { type Change, mismatch, tampered, upgraded } from '../../detectors/runtime-path-write/describe.ts'
import { helperDetection } from '../../detectors/runtime-path-write/usermode-helper.ts'
import { describe } from '../../detectors/unexpected-root-process/describe.ts'
import { undeclared } from '../support/evidence.ts'
import {
  sampleContainer,
  sampleDpkg,
  sampleExec,
  sampleFinding,
  sampleProcess,
  sampleRuntimeFile,
} from '../support/samples.ts'

// In end-to-end tests every finding read from a daemon is checked against its declaration (test/support/daemon.ts).

test('every rule declares the fields of its evidence', (t) => {
  for (const { rules, evidence } of detectors) {
    t.deepEqual(Object.keys(evidence).toSorted(), Object.keys(rules).toSorted())
  }
})

test('evidence has only the fields that its rule declares', (t) => {
  const changed = sampleRuntimeFile({ writer: sampleDpkg }) as Change
  const found: (Detection | null)[] = [
    ...(['file', 'setuid-call', 'overwrite'] as const).map(escalation),
    tampered(changed, 'it is not'),
    upgraded(changed, null, { versionBefore: '1', files: ['a'], eventKey: 'a', isUpdate: false }),
    mismatch(changed, 'cc', null),
    ...attempts(),
    helperDetection({ kind: 'usermode-helper', time: 5, ...here(), path: '/proc/77/root/h', via: 'root' }),
    breakoutFile({ writer: { ...sampleDpkg, user: 'root' } }),
    breakoutFile({ holders: [{ pid: 4, exe: '/bin/sh', argv: ['sh'] }] }),
    throttledDetection({ count: 3, since: 1, groups: [throttledGroup], ungrouped: 1 }, 5),
  ]
  for (const detection of found) {
    t.truthy(detection)
    if (detection !== null) t.deepEqual(undeclared(detection), [])
  }
})

test('undeclared fields and wrong types are found', (t) => {
  const evidence = { argv: ['a', 1], usr: 'x', tty: null, caller: { pid: '1' }, programs: [{ nope: 1 }] }
  t.deepEqual(undeclared(sampleFinding({ evidence })), [
    'interactive-shell: evidence.argv[] is no text',
    'interactive-shell: evidence.usr is not declared',
    'interactive-shell: evidence.caller.pid is no number',
    'interactive-shell: evidence.programs[].nope is not declared',
  ])
})

const tally = { named: new Map([['a', 2]]), others: 1 }
const throttledGroup = { container: null, rule: 'oom-kill', count: 3, programs: tally, actors: tally }

function here() {
  return { container: sampleContainer(), process: sampleProcess().process }
}

function escalation(way: GainWay): Detection {
  const file = { origin: 'container' as const, status: { owner: 0, mode: 0o4755, hasCapabilities: true } }
  const gain = {
    way,
    isNew: true,
    by: sampleProcess().process,
    file,
    before: { uid: 1, euid: 1, capabilities: 0n },
  }
  return describe(sampleProcess({ process: { containerUid: 0 }, file, gain }), ['privilege-escalation'], 3n)
}

function attempts(): Detection[] {
  const { take } = gatherAttempts()
  const opened = openedAttempt({
    kind: 'runtime-file-opened',
    time: 5,
    container: sampleContainer(),
    path: '/usr/sbin/runc',
    opener: sampleProcess().process,
    startTicks: 3,
    byRuntime: true,
  })
  const requested = requestedAttempt(sampleExec({ argv: ['/proc/self/exe'] }))
  return [opened, requested].flatMap((attempt) => (attempt === null ? [] : take(attempt)))
}

function breakoutFile(seen: Partial<Parameters<typeof breakoutFileDetection>[0]>): Detection | null {
  return breakoutFileDetection({
    kind: 'breakout-file',
    time: 5,
    file: 'core_pattern',
    path: '/proc/sys/kernel/core_pattern',
    change: 'rewritten',
    before: 'core',
    after: '|/x',
    seenBy: 'bpf',
    writer: null,
    container: sampleContainer(),
    sinceBoot: 3_600_000,
    ...seen,
  })
}
