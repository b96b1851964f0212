import test from 'ava'
import type { EventsLost } from '../../../../../agent/model/observation.ts'
import { cgroupOf } from '../../../../../agent/sources/processes/attribution/cgroup.ts'
import { lossReport } from '../../../../../agent/sources/processes/modes/ebpf/losses.ts'
import type { Losses } from '../../../../../agent/ebpf/loader.ts'
import { sampleContainer } from '../../../../support/samples.ts'

const none: Losses = { ringFull: 0, ringFullOf: {}, overBudget: 0, missed: 0 }
const ours = { unreadable: 0, lostIds: 0 }
const id = 'a'.repeat(64)

test('only losses since the last report are emitted, with their reason', (t) => {
  const { report, emitted, set } = sample()
  t.false(report(ours))
  set({ ...none, ringFull: 6 })
  t.true(report(ours))
  t.false(report(ours))
  set({ ...none, ringFull: 10, missed: 5 })
  t.true(report({ unreadable: 7, lostIds: 8 }))
  t.deepEqual(emitted(), [
    ['ring-full', 6, undefined],
    ['ring-full', 4, undefined],
    ['program-busy', 5, undefined],
    ['unreadable', 7, undefined],
    ['socket-full', 8, undefined],
  ])
})

test('a container over its budget is named, and unattributed losses are emitted as well', (t) => {
  const { report, emitted, set, drop } = sample()
  set({ ...none, overBudget: 10 })
  drop(10)
  // The table is still correct: only the container's excess events are missing.
  t.false(report(ours))
  set({ ...none, overBudget: 16 })
  drop(12)
  report(ours)
  t.deepEqual(emitted(), [
    ['over-budget', 10, 'web-1'],
    ['over-budget', 2, 'web-1'],
    ['over-budget', 4, undefined],
  ])
})

test('a counter that the kernel has restarted is counted from zero', (t) => {
  const { report, emitted, set, drop } = sample()
  let total = 0
  for (const dropped of [10, 0, 12]) {
    total += Math.max(1, dropped)
    set({ ...none, overBudget: total })
    drop(dropped)
    report(ours)
  }
  t.deepEqual(emitted(), [
    ['over-budget', 10, 'web-1'],
    ['over-budget', 1, undefined],
    ['over-budget', 12, 'web-1'],
  ])
})

function sample() {
  const container = sampleContainer({ id })
  const containers = {
    get: () => container,
    all: () => [container],
    running: () => [container],
    isPending: () => false,
  }
  const counted = { cgroup: cgroupOf(['docker', id]), budgetKey: 5n }
  const nested = { cgroup: cgroupOf(['docker', id, 'nested']), budgetKey: 5n }
  const host = { cgroup: cgroupOf(['system.slice']), budgetKey: 0n }
  let losses = none
  let dropped = 0
  const seen: EventsLost[] = []
  const { report } = lossReport(
    { losses: () => losses, dropped: () => dropped },
    { cgroups: () => [counted, nested, host] },
    { containers, now: () => 5 },
    (one) => void (one.kind === 'events-lost' && seen.push(one)),
  )
  return {
    report,
    emitted: () => seen.map(({ reason, count, container: named }) => [reason, count, named?.name]),
    set: (now: Losses) => void (losses = now),
    drop: (count: number) => void (dropped = count),
  }
}
