import type { Container } from '../../../../model/container.ts'
import type { Observation } from '../../../../model/observation.ts'
import { containerOf } from '../../attribution/cgroup.ts'
import { containerFor } from '../../table/describe.ts'
import type { ModeContext } from '../mode.ts'
import type { CountedCgroup } from './cgroup-cache.ts'
import type { Decoder } from './decode.ts'
import type { Losses, Runtime } from '../../../../ebpf/loader.ts'
import { eventsLost } from '../../../../model/source-reports.ts'

export type LossReport = {
  /** Emits the losses since the last report; returns true if the table may be incomplete. */
  report: (ours: { unreadable: number; lostIds: number }) => boolean
}

/** Turns the loss counters of the kernel programs into observations. */
export function lossReport(
  runtime: Pick<Runtime, 'losses' | 'dropped'>,
  decoder: Pick<Decoder, 'cgroups'>,
  { containers, now }: Pick<ModeContext, 'containers' | 'now'>,
  emit: (observation: Observation) => void,
): LossReport {
  let before: Losses = { ringFull: 0, ringFullOf: {}, overBudget: 0, missed: 0 }
  // Only keys that the kernel counts; it drops those that have been idle for long.
  const droppedBefore = new Map<bigint, number>()

  function report({ unreadable, lostIds }: { unreadable: number; lostIds: number }): boolean {
    const losses = runtime.losses()
    const increase = (count: 'ringFull' | 'overBudget' | 'missed') => losses[count] - before[count]
    const ringFull = increase('ringFull')
    const missed = increase('missed')
    if (increase('overBudget') > 0) reportBudgets(increase('overBudget'))
    before = losses
    emitLoss('ring-full', ringFull)
    emitLoss('program-busy', missed)
    emitLoss('unreadable', unreadable)
    emitLoss('socket-full', lostIds)
    return ringFull + missed + unreadable > 0
  }

  function emitLoss(reason: string, count: number, container?: Container): void {
    if (count > 0) emit(eventsLost('processes', now(), reason, count, container))
  }

  function reportBudgets(total: number): void {
    let attributed = 0
    for (const counted of byKey(decoder.cgroups())) {
      const { budgetKey } = counted
      const dropped = runtime.dropped(budgetKey)
      const count = dropped - (droppedBefore.get(budgetKey) ?? 0)
      if (dropped > 0) droppedBefore.set(budgetKey, dropped)
      emitLoss(overBudget, count, containerAt(counted))
      attributed += Math.max(0, count)
    }
    // The rest belongs to containers that ran nothing since their cgroup was dropped from the cache.
    emitLoss(overBudget, total - attributed)
    for (const key of droppedBefore.keys()) if (runtime.dropped(key) === 0) droppedBefore.delete(key)
  }

  function containerAt({ cgroup, budgetKey }: CountedCgroup): Container {
    const known = containerOf(cgroup, containers)
    return known ?? containerFor({ id: cgroup.ids[0] ?? String(budgetKey), build: false }, containers)
  }

  return { report }
}

/** The reason for events above a container's budget; unlike the others, it names the container that caused the loss. */
export const overBudget = 'over-budget'

function byKey(cgroups: Iterable<CountedCgroup>): Iterable<CountedCgroup> {
  const keyed = [...cgroups].filter(({ budgetKey }) => budgetKey !== 0n)
  return new Map(keyed.map((counted) => [counted.budgetKey, counted])).values()
}
