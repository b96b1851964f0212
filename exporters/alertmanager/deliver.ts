import { ignoreElements, merge, type Observable, repeat, take, timer } from 'rxjs'
import { messageOf } from '../../agent/errors.ts'
import { backoffMs, fromAbortable } from '../../agent/streams.ts'
import type { Store } from '../../agent/store/store.ts'
import type { Delivery } from '../../agent/store/tables.ts'
import type { NotificationOutcome } from '../prometheus/daemon-metrics.ts'
import { type Alert, isOver, resendMs, toAlert } from './alert.ts'

export type Receiver = {
  name: string
  url: string
  timeoutMs: number
  /** Where the pages about alerts are; the project's own when left out. */
  runbookBase?: string
}

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

// Alertmanager takes far more at once; small batches keep a slow instance from timing out on all of it.
const batchSize = 64
// What could not be delivered for a day is history, not an alert; it stays in the store.
const forgetMs = 24 * 3_600_000
const retry = { first: 1_000, max: 60_000 }
// Node's timers hold 24 days at most; an empty outbox is looked at once an hour.
const idleMs = 3_600_000

/** Sends what is in the outbox to one Alertmanager for as long as it is subscribed to; never fails, never emits. */
export function deliver(options: DeliveryOptions): Observable<never> {
  const { receiver, store, wake$, now, onOutcome, onHealth } = options
  let failures = 0

  /** Sends one batch of what is due. */
  async function round(signal: AbortSignal): Promise<void> {
    const startedAt = now()
    const due = store.due(receiver.name, startedAt, batchSize)
    const expired = due.filter((delivery) => isHistory(delivery, startedAt))
    settle(expired, 'expired')
    const batch = due.filter((delivery) => !expired.includes(delivery))
    if (batch.length === 0) return
    try {
      for (const part of await post(receiver, batch, startedAt, signal)) settlePart(part, startedAt)
      if (failures > 0) onHealth(true, `${receiver.name} answers again`)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      onOutcome('failed', batch.length)
      if (failures === 1) onHealth(false, `${receiver.name} does not take alerts: ${messageOf(error)}`)
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
    const over = deliveries.filter(({ finding, deliveredAt }) => isOver(finding, deliveredAt, startedAt))
    const held = deliveries.filter((delivery) => !over.includes(delivery))
    store.dequeue(
      receiver.name,
      over.map(({ finding }) => finding.id),
    )
    store.delivered(
      receiver.name,
      held.map(({ finding }) => finding.id),
      startedAt,
      startedAt + resendMs,
    )
    onOutcome('delivered', deliveries.filter(({ deliveredAt }) => deliveredAt === null).length)
  }

  function pause$(): Observable<unknown> {
    if (failures > 0) return timer(backoffMs(failures, retry))
    const nextAt = store.nextDue(receiver.name)
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

/** Posts a batch; when it is refused, each alert alone, because one bad alert must not take the others with it. */
async function post(
  receiver: Receiver,
  batch: readonly Delivery[],
  now: number,
  signal: AbortSignal,
): Promise<Part[]> {
  const alerts = batch.map(({ finding, deliveredAt }) =>
    toAlert(finding, deliveredAt, now, receiver.runbookBase),
  )
  if (await isAccepted(receiver, alerts, signal)) return [{ deliveries: batch, accepted: true }]
  if (batch.length === 1) return [{ deliveries: batch, accepted: false }]
  const parts: Part[] = []
  for (const delivery of batch) parts.push(...(await post(receiver, [delivery], now, signal)))
  return parts
}

/** True when taken, false when refused as wrong (4xx); anything else throws and is tried again. */
async function isAccepted(
  receiver: Receiver,
  alerts: readonly Alert[],
  signal: AbortSignal,
): Promise<boolean> {
  const response = await fetch(`${receiver.url.replace(/\/+$/, '')}/api/v2/alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(alerts),
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(receiver.timeoutMs)]),
  })
  await response.body?.cancel()
  if (response.ok) return true
  // 408 and 429 ask for another try (RFC 9110, RFC 6585); other 4xx will not change their mind.
  if (response.status >= 400 && response.status < 500 && ![408, 429].includes(response.status)) return false
  throw new Error(`HTTP ${response.status} ${response.statusText}`)
}
