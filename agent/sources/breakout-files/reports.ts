import type { Container } from '../../model/container.ts'
import type { BreakoutFile, BreakoutFileObservation, Observation } from '../../model/observation.ts'
import { clip } from '../../lib/text.ts'
import { containerFor } from '../processes/table/describe.ts'
import { doers } from './actors.ts'
import type { NewHierarchy } from './hierarchy-watch.ts'
import type { Act } from './ledger.ts'
import { hierarchyOf } from './file-readers.ts'
import type { Surroundings } from './context.ts'

// Acts told in one second, of one kind of file and one container: nobody does as many by hand, and a loop must neither
// fill the store nor hide anything else.
const maxActs = 20
const maxText = 1_024

/** Makes observations of what was done, of losses, and of how the source is. */
export type Telling = {
  act(act: Act, hostAgentOf: (hierarchy: string) => string | null): void
  hierarchy(found: NewHierarchy): void
  /** Counts what was not seen, or not told. */
  lose(reason: string, count: number): void
  status(mode: string, lacking: readonly string[]): void
  /** To be called each second: tells what was lost, and lets more acts be told. */
  everySecond(): void
}

/** Tells through `emit`. */
export function telling(surroundings: Surroundings, emit: (observation: Observation) => void): Telling {
  const { containers, clock, now } = surroundings
  const people = doers(surroundings)
  const lost = new Map<string, number>()
  const told = new Map<string, number>()
  let lastReason: string | undefined

  /** Asked before anything is looked up: a flood must cost little. */
  function mayTell(file: BreakoutFile, container: Container | null): boolean {
    const kind = `${file} ${container?.id ?? ''}`
    const count = (told.get(kind) ?? 0) + 1
    told.set(kind, count)
    if (count > maxActs) lose('too-many', 1)
    return count <= maxActs
  }

  function observe(seen: Omit<BreakoutFileObservation, 'kind' | 'sinceBoot'>): void {
    emit({ kind: 'breakout-file', ...seen, sinceBoot: seen.time - clock.epochOffset() })
  }

  function act({ place, doer, ...done }: Act, hostAgentOf: (hierarchy: string) => string | null): void {
    const { key, file, path } = place
    const container = doer && people.containerOf(doer)
    if (!mayTell(file, container)) return
    observe({
      ...done,
      file,
      path: clip(path, maxText),
      writer: doer && people.writerOf(doer),
      container,
      ...(file === 'notify_on_release' && { hostAgent: hostAgentOf(hierarchyOf(key)) }),
    })
  }

  function hierarchy({ name, time, mount, holders }: NewHierarchy): void {
    const membership = holders.find((holder) => holder.membership !== null)?.membership ?? null
    const container: Container | null = membership && containerFor(membership, containers)
    if (!mayTell('cgroup_hierarchy', container)) return
    observe({
      time,
      file: 'cgroup_hierarchy',
      path: name,
      change: 'changed',
      before: null,
      after: mount === null ? undefined : clip(mount.options, maxText),
      seenBy: 'poll',
      writer: null,
      container,
      holders: holders.map(({ pid, program }) => {
        const { exe, argv } = program()
        return { pid, exe, argv }
      }),
    })
  }

  function lose(reason: string, count: number): void {
    if (count > 0) lost.set(reason, (lost.get(reason) ?? 0) + count)
  }

  function status(mode: string, lacking: readonly string[]): void {
    const reason = clip(lacking.join('; '), maxText)
    if (reason === lastReason) return
    lastReason = reason
    const best = reason === ''
    emit({ kind: 'source-status', time: now(), source: 'breakout-files', up: true, mode, best, reason })
  }

  function everySecond(): void {
    for (const [reason, count] of lost) {
      emit({ kind: 'events-lost', time: now(), source: 'breakout-files', reason, count })
    }
    lost.clear()
    told.clear()
  }

  return { act, hierarchy, lose, status, everySecond }
}
