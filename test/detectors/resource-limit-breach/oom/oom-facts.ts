import type { TestFn } from 'ava'
import { type OomFact, recordFact } from '../../../../detectors/resource-limit-breach/oom/facts.ts'
import { emptyLedger } from '../../../../detectors/resource-limit-breach/oom/ledger.ts'
import {
  container,
  details,
  fixtureId,
  lifecycle,
  oomVictim,
  sample,
} from '../../../sources/resources/samples.ts'

// Facts about one container. Times are milliseconds; only their order is judged.

export const count = (time: number, oomKills: number | null) => sample(time, { memory: { oomKills } })
export const alive = (time: number, oomKills: number) =>
  sample(time, { memory: { oomKills }, firstProcess: 'running' })
export const dying = (time: number, oomKills: number) =>
  sample(time, { memory: { oomKills }, firstProcess: 'ending' })
export const started = (time = 0) => lifecycle(time, 'started')
/** A start whose time the engine names. */
export const startedAt = (time: number) =>
  lifecycle(time, 'started', { container: container({ details: details({ startedAt: time }) }) })
export const event = (time: number) => lifecycle(time, 'oom')
export const killed = (time: number) => lifecycle(time, 'died', { exitCode: 137 })
export const flagged = (time: number) => lifecycle(time, 'died', { exitCode: 137, oomKilled: true })
export const exited = (time: number, exitCode = 0) => lifecycle(time, 'died', { exitCode })
export const init = (time: number) => oomVictim(time, { isInit: true })
export const child = (time: number, pid = 4300) =>
  oomVictim(time, { process: { pid, startTicks: 77, exe: '/bin/eat', argv: ['eat'] } })
export const sigkillRequest = (time: number): OomFact => ({
  kind: 'sigkill-request',
  time,
  container: { id: fixtureId },
})
export const deadline = 'deadline'
/** Later than any engine's usual delay. */
export const late = 60_000

export type Fact = OomFact | typeof deadline

/** The reports for these facts: the rule, and the number of kills where there are several. */
export function reportsOf(facts: readonly Fact[]): string[] {
  let ledger = emptyLedger
  return facts.flatMap((fact) => {
    const [next, reports] = recordFact(ledger, fact)
    ledger = next
    return reports.map(({ detection: { rule, evidence } }) =>
      Number(evidence['kills'] ?? 1) > 1 ? `${rule} ${Number(evidence['kills'])}` : rule,
    )
  })
}

export const kill = 'oom-kill'
export const death = 'container-oom-killed'

/** The kernel kills a whole cgroup. */
export function group(...pids: number[]): OomFact[] {
  return pids.map((pid) => ({ ...child(1, pid), isGroup: true }))
}

/** A title, the facts about one container in the order of their arrival, and what is reported. */
export type Case = [title: string, facts: Fact[], reports: string[]]

/** Declares a test for each case. `test` is the caller's, whose file names the tests. */
export function testCases(test: TestFn, table: readonly Case[]): void {
  for (const [title, facts, reports] of table) {
    test(`${title}: ${reports.join(', ') || 'nothing'}`, (t) => {
      t.deepEqual(reportsOf(facts), reports)
    })
  }
}
