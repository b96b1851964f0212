import type { Caller } from '../model/observation.ts'
import type { Client } from './requests-seen.ts'

/** All that was seen of who may have asked for one exec. */
export type CallerEvidence = {
  /** Clients whose requests name it. */
  starters: readonly Client[]
  /** Clients whose command lines say the same. */
  hints: readonly Client[]
  /** Whether one of those may as well have asked for another exec. */
  isShared: boolean
  /** Whether every request to the engine was seen, so that no starter means no client. */
  sawAll: boolean
  /** Whether it is what the engine runs of itself, and nothing else is. */
  healthcheck: boolean
}

/** Names a client only where just one can have been it. */
export function callerOf({ starters, hints, isShared, sawAll, healthcheck }: CallerEvidence): Caller {
  const [starter, ...otherStarters] = starters
  if (otherStarters.length > 0) return nobody('ambiguous', 'seen')
  if (starter !== undefined) return somebody('exact', starter)
  // A client that hides its request well is a client all the same; nobody who happens to have its words is.
  if (sawAll) return nobody('unknown', healthcheck ? 'none' : 'unclear')
  const [hint, ...otherHints] = hints
  if (hint === undefined) return nobody('unknown', 'unclear')
  return isShared || otherHints.length > 0 ? nobody('ambiguous', 'unclear') : somebody('argv', hint)
}

function somebody(confidence: 'exact' | 'argv', { process, container }: Client): Caller {
  return { confidence, client: 'seen', process, container, address: '' }
}

function nobody(confidence: 'ambiguous' | 'unknown', client: Caller['client']): Caller {
  return { confidence, client, process: null, container: null, address: '' }
}
