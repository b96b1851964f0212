import type { Caller } from '../../../model/observation.ts'
import type { Client } from './api-request-log.ts'

/** All that was seen of who may have asked for one exec. */
export type CallerEvidence = {
  /** Clients whose requests name it. */
  starters: readonly Client[]
  /** Clients whose command lines say the same. */
  hints: readonly Client[]
  /** Whether one of those may as well have asked for another exec. */
  isShared: boolean
  /** Whether every request to the engine that can be read was seen, so that no starter means no client. */
  sawAll: boolean
  /** Clients on whose encrypted connections there was something just before it, those of one host elsewhere as one. */
  active: readonly Client[]
  /** Whether it is what the engine runs of itself, and nothing else is. */
  healthcheck: boolean
}

/** Names a client only where just one can have been it. */
export function callerOf(evidence: CallerEvidence): Caller {
  const { starters, hints, isShared, sawAll, active, healthcheck } = evidence
  const [starter, ...otherStarters] = starters
  if (otherStarters.length > 0) return nobody('ambiguous', 'seen', starters)
  if (starter !== undefined) {
    return starter.process === null
      ? { ...somebody('remote', starter), by: 'request' }
      : somebody('exact', starter)
  }
  // A client that hides its request well is a client all the same; nobody who happens to have its words is.
  if (sawAll) return unread(active, healthcheck)
  const [hint, ...otherHints] = hints
  if (hint === undefined) return nobody('unknown', 'unclear')
  return isShared || otherHints.length > 0 ? nobody('ambiguous', 'unclear', hints) : somebody('argv', hint)
}

/** Of an exec that nothing asked for that can be read: the engine asks for its health checks itself, and for no more. */
function unread(active: readonly Client[], healthcheck: boolean): Caller {
  const [client, ...others] = active
  if (client === undefined) return nobody('unknown', healthcheck ? 'none' : 'unclear')
  if (healthcheck) return nobody('unknown', 'unclear')
  if (others.length > 0) return nobody('ambiguous', 'unclear', active)
  return { ...somebody('remote', client), by: 'activity' }
}

function somebody(confidence: 'exact' | 'argv' | 'remote', { process, container, address }: Client): Caller {
  return { confidence, client: 'seen', process, container, address }
}

function nobody(
  confidence: 'ambiguous' | 'unknown',
  client: Caller['client'],
  candidates: readonly Client[] = [],
): Caller {
  const named = candidates.map(({ address, process }) => address || `pid ${process?.pid}`)
  const caller: Caller = { confidence, client, process: null, container: null, address: '' }
  return named.length === 0 ? caller : { ...caller, candidates: named.slice(0, maxCandidates) }
}

const maxCandidates = 8
