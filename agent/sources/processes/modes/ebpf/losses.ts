import type { Container } from '../../../../model/container.ts'
import type { EventsLost, Observation } from '../../../../model/observation.ts'
import { containerOf } from '../../attribution/cgroup.ts'
import { containerFor } from '../../table/describe.ts'
import type { Surroundings } from '../mode.ts'
import type { CountedCgroup, Decoder } from './decode.ts'
import type { Losses, Runtime } from '../../../../ebpf/loader.ts'

export type LossReport = {
  /** Tells what was lost since the last report; true when the table may have missed something. */
  report: (ours: { unreadable: number; lostIds: number }) => boolean
}

/** Turns the kernel's counts of what it could not tell into observations. */
export function lossReport(
  runtime: Pick<Runtime, 'losses' | 'dropped'>,
  decoder: Pick<Decoder, 'cgroups'>,
  { containers, now }: Pick<Surroundings, 'containers' | 'now'>,
  emit: (observation: Observation) => void,
): LossReport {
  let before: Losses = {
    executed: 0,
    forked: 0,
    exited: 0,
    requested: 0,
    victims: 0,
    overBudget: 0,
    missed: 0,
  }
  // Of those only that the kernel counts; it forgets who has been silent for long.
  const droppedBefore = new Map<bigint, number>()

  function report({ unreadable, lostIds }: { unreadable: number; lostIds: number }): boolean {
    const losses = runtime.losses()
    const grown = (count: keyof Losses) => losses[count] - before[count]
    const noRoom =
      grown('executed') + grown('forked') + grown('exited') + grown('requested') + grown('victims')
    const missed = grown('missed')
    if (grown('overBudget') > 0) reportBudgets(grown('overBudget'))
    before = losses
    lose('ring-full', noRoom)
    lose('program-busy', missed)
    lose('unreadable', unreadable)
    lose('socket-full', lostIds)
    return noRoom + missed + unreadable > 0
  }

  function lose(reason: string, count: number, container?: Container): void {
    if (count <= 0) return
    const lost: EventsLost = { kind: 'events-lost', time: now(), source: 'processes', reason, count }
    emit(container === undefined ? lost : { ...lost, container })
  }

  function reportBudgets(total: number): void {
    let told = 0
    for (const counted of byKey(decoder.cgroups())) {
      const { budgetKey } = counted
      const dropped = runtime.dropped(budgetKey)
      const count = dropped - (droppedBefore.get(budgetKey) ?? 0)
      if (dropped > 0) droppedBefore.set(budgetKey, dropped)
      lose(overBudget, count, containerAt(counted))
      told += Math.max(0, count)
    }
    // Of a container that ran nothing since its cgroup was last forgotten.
    lose(overBudget, total - told)
    for (const key of droppedBefore.keys()) if (runtime.dropped(key) === 0) droppedBefore.delete(key)
  }

  function containerAt({ cgroup, budgetKey }: CountedCgroup): Container {
    const known = containerOf(cgroup, containers)
    return known ?? containerFor({ id: cgroup.ids[0] ?? String(budgetKey), build: false }, containers)
  }

  return { report }
}

/** The reason that says which container made more events than it may, unlike those that blame the machine. */
export const overBudget = 'over-budget'

function byKey(cgroups: Iterable<CountedCgroup>): Iterable<CountedCgroup> {
  const keyed = [...cgroups].filter(({ budgetKey }) => budgetKey !== 0n)
  return new Map(keyed.map((counted) => [counted.budgetKey, counted])).values()
}
