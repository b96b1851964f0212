import { filter, from, mergeMap, type Observable, scan, skip, takeUntil } from 'rxjs'
import { deliver, type DeliveryOptions } from '../../exporters/deliver.ts'
import type { Receiver } from '../../exporters/receiver.ts'

export type NotifierOptions = Omit<DeliveryOptions, 'receiver' | Callback> & {
  /** The configured receivers: emits at once, and again after each reload. */
  receivers$: Observable<readonly Receiver[]>
  onOutcome: (receiver: string, ...outcome: Parameters<DeliveryOptions['onOutcome']>) => void
  onHealth: (receiver: string, ...health: Parameters<DeliveryOptions['onHealth']>) => void
  onClockSkew: (receiver: string, skewMs: number) => void
  onClockAgreement: (receiver: string, ...agreement: Parameters<DeliveryOptions['onClockAgreement']>) => void
}

type Callback = 'onOutcome' | 'onHealth' | 'onClockSkew' | 'onClockAgreement'

/** Delivers to every configured receiver; a reload does not disturb the receivers that stay. */
export function notifier({
  receivers$,
  onOutcome,
  onHealth,
  onClockSkew,
  onClockAgreement,
  ...options
}: NotifierOptions): Observable<never> {
  return receivers$.pipe(
    scan(({ all }, next) => ({ all: next, added: next.filter((one) => !all.some(isSame(one))) }), {
      all: [],
      added: [],
    } as Record<'all' | 'added', readonly Receiver[]>),
    mergeMap(({ added }) => from(added)),
    mergeMap((receiver) => {
      const gone$ = receivers$.pipe(
        skip(1),
        filter((all) => !all.some(isSame(receiver))),
      )
      return deliver({
        ...options,
        receiver,
        onOutcome: (...outcome) => onOutcome(receiver.name, ...outcome),
        onHealth: (...health) => onHealth(receiver.name, ...health),
        onClockSkew: (skewMs) => onClockSkew(receiver.name, skewMs),
        onClockAgreement: (...agreement) => onClockAgreement(receiver.name, ...agreement),
      }).pipe(takeUntil(gone$))
    }),
  )
}

/** Same name and same connection settings. What is sent to a receiver is decided for each finding. */
function isSame(a: Receiver) {
  return (b: Receiver) => a.name === b.name && a.connectionKey === b.connectionKey
}
