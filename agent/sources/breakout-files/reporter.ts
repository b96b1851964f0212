import type { Container } from '../../model/container.ts'
import type { BreakoutFile, BreakoutFileObservation, Observation } from '../../model/observation.ts'
import { clip } from '../../lib/text.ts'
import { containerFor } from '../processes/table/describe.ts'
import { actorResolver } from './actors.ts'
import type { NewHierarchy } from './hierarchy-watch.ts'
import type { Operation } from './ledger.ts'
import { hierarchyOf } from './file-readers.ts'
import type { SourceContext } from './source-context.ts'
import { eventsLost, sourceUp } from '../../model/source-reports.ts'

// Operations reported per second for one kind of file and one container. People do fewer by hand, and a loop must
// neither fill the store nor hide other operations.
const maxOperations = 20
const maxText = 1_024

/** Emits observations: operations, losses and the status of the source. */
export type Reporter = {
  operation(operation: Operation, hostAgentOf: (hierarchy: string) => string | null): void
  hierarchy(found: NewHierarchy): void
  /** Counts events that were missed or not reported. */
  lose(reason: string, count: number): void
  status(mode: string, lacking: readonly string[]): void
  /** Call once a second: reports losses and resets the limits. */
  everySecond(): void
}

export function reporter(context: SourceContext, emit: (observation: Observation) => void): Reporter {
  const { containers, clock, now } = context
  const actors = actorResolver(context)
  const lost = new Map<string, number>()
  const reported = new Map<string, number>()
  let lastReason: string | undefined

  /** Checked before any lookup: a flood must cost little. */
  function mayReport(file: BreakoutFile, container: Container | null): boolean {
    const kind = `${file} ${container?.id ?? ''}`
    const count = (reported.get(kind) ?? 0) + 1
    reported.set(kind, count)
    if (count > maxOperations) lose('too-many', 1)
    return count <= maxOperations
  }

  function emitObservation(seen: Omit<BreakoutFileObservation, 'kind' | 'sinceBoot'>): void {
    emit({ kind: 'breakout-file', ...seen, sinceBoot: seen.time - clock.epochOffset() })
  }

  function operation(
    { place, actor, ...rest }: Operation,
    hostAgentOf: (hierarchy: string) => string | null,
  ): void {
    const { key, file, path } = place
    const container = actor && actors.containerOf(actor)
    if (!mayReport(file, container)) return
    emitObservation({
      ...rest,
      file,
      path: clip(path, maxText),
      writer: actor && actors.writerOf(actor),
      container,
      ...(file === 'notify_on_release' && { hostAgent: hostAgentOf(hierarchyOf(key)) }),
    })
  }

  function hierarchy({ name, time, mount, holders }: NewHierarchy): void {
    const membership = holders.find((holder) => holder.membership !== null)?.membership ?? null
    const container: Container | null = membership && containerFor(membership, containers)
    if (!mayReport('cgroup_hierarchy', container)) return
    emitObservation({
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
    emit(sourceUp('breakout-files', now(), mode, reason))
  }

  function everySecond(): void {
    for (const [reason, count] of lost) emit(eventsLost('breakout-files', now(), reason, count))
    lost.clear()
    reported.clear()
  }

  return { operation, hierarchy, lose, status, everySecond }
}
