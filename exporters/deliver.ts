import { ignoreElements, merge, type Observable, repeat, take, timer } from 'rxjs'
import { messageOf } from '../agent/lib/errors.ts'
import { backoffMs, fromAbortable } from '../agent/lib/streams.ts'
import type { Store } from '../agent/store/store.ts'
import type { Delivery } from '../agent/store/tables.ts'
import type { NotificationOutcome } from './prometheus/daemon-metrics.ts'
import { agreementMessage, receiverClock, skewMessage } from './clock-skew.ts'
import type { Answer } from './http.ts'
import type { Describe, Receiver } from './receiver.ts'

export type DeliveryOptions = {
  receiver: Receiver
  describe: Describe
  store: Pick<Store, 'due' | 'nextDue' | 'delivered' | 'dequeue'>
  /** Emits when the outbox may have new findings. */
  wake$: Observable<unknown>
  now: () => number
  onOutcome: (outcome: NotificationOutcome, count: number) => void
  /** Called once when the receiver stops accepting findings, and once when it recovers. */
  onHealth: (reachable: boolean, reason: string) => void
  /** Called for each measurement: how far the receiver's clock is ahead of ours, in milliseconds. */
  onClockSkew: (skewMs: number) => void
  /** Called once when the receiver's clock is found to differ from ours, and once when they agree again. */
  onClockAgreement: (agrees: boolean, message: string) => void
}

// Findings that could not be delivered for a day are no longer useful as alerts. They stay in the store.
const expiryMs = 24 * 3_600_000
const retry = { first: 1_000, max: 60_000 }
// Node's timers are limited to 24 days; an empty outbox is checked once an hour.
const idleMs = 3_600_000

/** Delivers the queued findings of one receiver while subscribed. Never fails and never emits. */
export function deliver(options: DeliveryOptions): Observable<never> {
  const { receiver, describe, store, wake$, now, onOutcome, onHealth, onClockSkew, onClockAgreement } =
    options
  const clock = receiverClock()
  let failures = 0

  /** Sends one batch of due findings. */
  async function sendDue(signal: AbortSignal): Promise<void> {
    const startedAt = now()
    const due = store.due(receiver.name, startedAt, receiver.batchSize)
    const expired = due.filter((delivery) => isExpired(delivery, startedAt))
    settle(expired, 'expired')
    const batch = due.filter((delivery) => !expired.includes(delivery))
    if (batch.length === 0) return
    try {
      const results = await sendSplit(batch, (part) => send(part, signal))
      for (const result of results) settleResult(result, startedAt)
      if (failures > 0) onHealth(true, `${receiver.name}: delivery recovered`)
      failures = 0
    } catch (error) {
      if (signal.aborted) return
      failures += 1
      onOutcome('failed', batch.length)
      if (failures === 1) onHealth(false, `${receiver.name}: delivery failed: ${messageOf(error)}`)
    }
  }

  /** Sends one request. Resolves to whether it was accepted; rejects if a retry may succeed. */
  async function send(batch: readonly Delivery[], signal: AbortSignal): Promise<boolean> {
    const request = async () =>
      await receiver.send(batch, { describe, now, correctionMs: clock.correctionMs(), signal })
    let answer = await request()
    // Only once: behind one address may be several receivers whose clocks differ.
    if (measure(answer) && isSentAgain(receiver, answer)) {
      answer = await request()
      measure(answer)
    }
    if (answer.outcome === 'refused') throw new Error(answer.status)
    return answer.outcome === 'accepted'
  }

  /** True if the correction of times has changed. */
  function measure({ clockSkewMs }: Answer): boolean {
    const { name, corrects } = receiver
    const before = clock.correctionMs()
    if (clockSkewMs !== null) onClockSkew(clockSkewMs)
    const isChanged = clock.measured(clockSkewMs)
    const after = clock.correctionMs()
    if (isChanged && before === 0) onClockAgreement(false, skewMessage(name, after, corrects))
    if (isChanged && after === 0) onClockAgreement(true, agreementMessage(name))
    return isChanged
  }

  function settle(deliveries: readonly Delivery[], outcome: NotificationOutcome): void {
    if (deliveries.length === 0) return
    store.dequeue(
      receiver.name,
      deliveries.map(({ finding }) => finding.id),
    )
    onOutcome(outcome, deliveries.length)
  }

  function settleResult({ deliveries, accepted }: SendResult, startedAt: number): void {
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

  return fromAbortable(sendDue).pipe(repeat({ delay: pause$ }), ignoreElements())
}

function isExpired({ finding, deliveredAt }: Delivery, now: number): boolean {
  const isFiring = finding.kind === 'condition' && finding.state === 'firing'
  return deliveredAt === null && !isFiring && now - Date.parse(finding.last_seen) > expiryMs
}

type SendResult = { deliveries: readonly Delivery[]; accepted: boolean }

/** Sends a batch. If it is rejected, sends each finding alone, so that one bad finding does not block the others. */
async function sendSplit(
  batch: readonly Delivery[],
  send: (batch: readonly Delivery[]) => Promise<boolean>,
): Promise<SendResult[]> {
  if (await send(batch)) return [{ deliveries: batch, accepted: true }]
  if (batch.length === 1) return [{ deliveries: batch, accepted: false }]
  const results: SendResult[] = []
  for (const delivery of batch) results.push(...(await sendSplit([delivery], send)))
  return results
}

/**
 * Whether a request is sent again with corrected times. An alert may have arrived as one that is over already, which
 * Alertmanager never notifies. A webhook that accepted a finding must not get it twice.
 */
function isSentAgain({ corrects }: Receiver, { outcome }: Answer): boolean {
  return corrects === 'alerts' || (corrects === 'signature' && outcome !== 'accepted')
}
