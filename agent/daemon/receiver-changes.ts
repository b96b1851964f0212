import { shortHash } from '../lib/short-hash.ts'
import { type Finding, isAtLeast, type Severity } from '../model/finding.ts'
import type { Store } from '../store/store.ts'
import type { Queue } from '../store/tables.ts'

export type ReceiverChangesOptions = {
  store: Pick<Store, 'getState' | 'setState' | 'enqueue'>
  receivers: () => readonly KnownReceiver[]
  firing: () => readonly Finding[]
  /** Epoch milliseconds. */
  now: () => number
}

/** What decides whether a receiver counts as changed. */
export type KnownReceiver = Queue & { minSeverity: Severity; connectionKey: string }

const stateKey = 'known-receivers'

/**
 * Creates a function that queues what is firing for receivers that were added or changed since it last ran, also in an
 * earlier run. Call it at start, after each reload, and after the store was replaced, which knows no receivers.
 * Alertmanagers get it in any case: the same alert again changes nothing there.
 */
export function queueForChangedReceivers({ store, receivers, firing, now }: ReceiverChangesOptions) {
  return (): void => {
    const before = readKnown(store.getState(stateKey))
    const known: Record<string, string> = {}
    for (const receiver of receivers()) {
      const { name, minSeverity, connectionKey, queuedBy } = receiver
      known[name] = shortHash([connectionKey, minSeverity])
      const isChanged = before !== 'unknown' && before[name] !== known[name]
      if (!isChanged && queuedBy !== 'alert') continue
      const wanted = firing().filter(({ severity }) => isAtLeast(severity, minSeverity))
      store.enqueue(wanted, receiver, now())
    }
    const text = JSON.stringify(known)
    if (text !== JSON.stringify(before)) store.setState(stateKey, text)
  }
}

/** By name; `unknown` in a store of a version that did not record them, whose receivers know what is firing. */
function readKnown(text: string | null): Readonly<Record<string, string>> | 'unknown' {
  if (text === 'unknown') return 'unknown'
  try {
    return JSON.parse(text ?? '{}') as Record<string, string>
  } catch {
    return {}
  }
}
