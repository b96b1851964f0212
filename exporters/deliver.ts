import { ignoreElements, merge, type Observable, repeat, take, timer } from 'rxjs'
import { messageOf } from '../agent/lib/errors.ts'
import { backoffMs, fromAbortable } from '../agent/lib/streams.ts'
import type { Store } from '../agent/store/store.ts'
import type { Delivery } from '../agent/store/tables.ts'
import type { NotificationOutcome } from './prometheus/daemon-metrics.ts'
import type { Receiver } from './receiver.ts'

export type DeliveryOptions = {
  receiver: Receiver
  store: Pick<Store, 'due' | 'nextDue' | 'delivered' | 'dequeue'>
  /** Fires when the outbox may hold something new. */
  wake$: Observable<unknown>
  now: () => number
  onOutcome: (outcome: NotificationOutcome, count: number) => void
  /** Told when an instance stops or starts to answer, once each. */
  onHealth: (reachable: boolean, reason: string) => void
}

// What could not be delivered for a day is history, not an alert; it stays in the store.
const forgetMs = 24 * 3_600_000
const retry = { first: 1_000, max: 60_000 }
// Node's timers hold 24 days at most; an empty outbox is looked at once an hour.
const idleMs = 3_600_000

/** Sends what waits for one receiver for as long as it is subscribed to; never fails, never emits. */
export function deliver(options: DeliveryOptions): Observable<never> {
  const { receiver, store, wake$, now, onOutcome, onHealth } = options
  let failures = 0

  /** Sends one batch of what is due. */
  async function round(signal: AbortSignal): Promise<void> {
    const startedAt = now()
    const due = store.due(receiver.name, startedAt, receiver.batchSize)
    const expired = due.filter((delivery) => isHistory(delivery, startedAt))
    settle(expired, 'expired')
    const batch = due.filter((delivery) => !expired.includes(delivery))
    if (batch.length === 0) return
    try {
      for (const part of await send(receiver, batch, startedAt, signal)) settlePart(part, startedAt)
      if (failures > 0) onHealth(true, `${receiver.name} answers again`)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      onOutcome('failed', batch.length)
      if (failures === 1) onHealth(false, `${receiver.name} does not take findings: ${messageOf(error)}`)
    }
  }

  function settle(deliveries: readonly Delivery[], outcome: NotificationOutcome): void {
    if (deliveries.length === 0) return
    store.dequeue(
      receiver.name,
      deliveries.map(({ finding }) => finding.id),
    )
    onOutcome(outcome, deliveries.length)
  }

  function settlePart({ deliveries, accepted }: Part, startedAt: number): void {
    if (!accepted) return settle(deliveries, 'rejected')
    const byWait = Map.groupBy(deliveries, ({ finding, deliveredAt }) =>
      receiver.remindAfter(finding, deliveredAt, startedAt),
    )
    for (const [waitMs, group] of byWait) {
      const ids = group.map(({ finding }) => finding.id)
      if (waitMs === null) store.dequeue(receiver.name, ids)
      else store.delivered(receiver.name, ids, startedAt, startedAt + waitMs)
    }
    onOutcome('delivered', deliveries.filter(({ deliveredAt }) => deliveredAt === null).length)
  }

  function pause$(): Observable<unknown> {
    if (failures > 0) return timer(backoffMs(failures, retry))
    const nextAt = store.nextDue(receiver.name, now())
    const wait$ = timer(nextAt === null ? idleMs : Math.min(idleMs, Math.max(0, nextAt - now())))
    return merge(wait$, wake$).pipe(take(1))
  }

  return fromAbortable(round).pipe(repeat({ delay: pause$ }), ignoreElements())
}

function isHistory({ finding, deliveredAt }: Delivery, now: number): boolean {
  const stillFires = finding.kind === 'condition' && finding.state === 'firing'
  return deliveredAt === null && !stillFires && now - Date.parse(finding.last_seen) > forgetMs
}

type Part = { deliveries: readonly Delivery[]; accepted: boolean }

/** Sends a batch; when it is refused, each alone, because one bad finding must not take the others with it. */
async function send(
  receiver: Receiver,
  batch: readonly Delivery[],
  now: number,
  signal: AbortSignal,
): Promise<Part[]> {
  if (await receiver.send(batch, now, signal)) return [{ deliveries: batch, accepted: true }]
  if (batch.length === 1) return [{ deliveries: batch, accepted: false }]
  const parts: Part[] = []
  for (const delivery of batch) parts.push(...(await send(receiver, [delivery], now, signal)))
  return parts
}
