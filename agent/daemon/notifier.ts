import { filter, from, mergeMap, type Observable, scan, skip, takeUntil } from 'rxjs'
import { deliver, type DeliveryOptions } from '../../exporters/deliver.ts'
import type { Receiver } from '../../exporters/receiver.ts'

export type DeliveriesOptions = Omit<DeliveryOptions, 'receiver' | 'onOutcome'> & {
  /** All that are configured: at once, and again when a reload changes them. */
  receivers$: Observable<readonly Receiver[]>
  onOutcome: (receiver: string, ...outcome: Parameters<DeliveryOptions['onOutcome']>) => void
}

/** Delivers to every receiver that is configured now; those that stay are not disturbed by a reload. */
export function deliveries({ receivers$, onOutcome, ...options }: DeliveriesOptions): Observable<never> {
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
      }).pipe(takeUntil(gone$))
    }),
  )
}

/** What it is sent is decided for each finding; only how it is reached makes it another. */
function isSame(a: Receiver) {
  return (b: Receiver) => a.name === b.name && a.reachedBy === b.reachedBy
}
