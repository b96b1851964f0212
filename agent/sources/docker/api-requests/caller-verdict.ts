import type { Caller } from '../../../model/observation.ts'
import type { Client } from './api-request-log.ts'

/** The evidence on which client requested an exec. */
export type CallerEvidence = {
  /** Clients whose start requests contain its id. */
  starters: readonly Client[]
  /** Clients whose command lines match it. */
  cliMatches: readonly Client[]
  /** Whether one of those command lines also matches another exec. */
  isShared: boolean
  /** Whether every readable request to the engine was observed, so that no starter means no client. */
  sawAll: boolean
  /**
   * Clients with traffic on encrypted connections just before it; all connections of another host count as one
   * client.
   */
  active: readonly Client[]
  /** Whether it is the container's health check, the only exec that the engine starts itself. */
  healthcheck: boolean
}

/** Names a client only if no other can have made the request. */
export function callerOf(evidence: CallerEvidence): Caller {
  const { starters, cliMatches, isShared, sawAll, active, healthcheck } = evidence
  const [starter, ...otherStarters] = starters
  if (otherStarters.length > 0) return unnamed('ambiguous', 'seen', starters)
  if (starter !== undefined) {
    return starter.process === null ? { ...named('remote', starter), by: 'request' } : named('exact', starter)
  }
  // A process with a matching command line sent no request for this exec, or it would be a starter. So it is not the
  // caller; the real client may have hidden its request.
  if (sawAll) return withoutRequest(active, healthcheck)
  const [match, ...otherMatches] = cliMatches
  if (match === undefined) return unnamed('unknown', 'unclear')
  const isAmbiguous = isShared || otherMatches.length > 0
  return isAmbiguous ? unnamed('ambiguous', 'unclear', cliMatches) : named('argv', match)
}

/** The verdict without a readable request: only health checks are started by the engine itself. */
function withoutRequest(active: readonly Client[], healthcheck: boolean): Caller {
  const [client, ...others] = active
  if (client === undefined) return unnamed('unknown', healthcheck ? 'none' : 'unclear')
  if (healthcheck) return unnamed('unknown', 'unclear')
  if (others.length > 0) return unnamed('ambiguous', 'unclear', active)
  return { ...named('remote', client), by: 'activity' }
}

function named(confidence: 'exact' | 'argv' | 'remote', { process, container, address }: Client): Caller {
  return { confidence, client: 'seen', process, container, address }
}

function unnamed(
  confidence: 'ambiguous' | 'unknown',
  client: Caller['client'],
  candidates: readonly Client[] = [],
): Caller {
  const names = candidates.map(({ address, process }) => address || `pid ${process?.pid}`)
  const caller: Caller = { confidence, client, process: null, container: null, address: '' }
  return names.length === 0 ? caller : { ...caller, candidates: names.slice(0, maxCandidates) }
}

const maxCandidates = 8
