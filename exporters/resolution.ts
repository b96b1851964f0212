import type { Finding } from '../agent/model/finding.ts'
import { clip, printable } from '../agent/lib/text.ts'

const maxLength = 1_000

/** When a finding ended that no longer fires, epoch milliseconds. Those of early versions have only `last_seen`. */
export function endOf({ resolved_at, last_seen }: Finding): number {
  return Date.parse(resolved_at ?? last_seen)
}

/** Why a finding no longer fires, as one bounded line; empty if it fires or the reason is unknown. */
export function resolutionOf({ state, resolution, suppressed }: Finding): string {
  if (state === 'firing') return ''
  // A container's label may give the reason.
  const text = state === 'suppressed' ? suppressed?.reason : resolution
  return clip(printable(text ?? ''), maxLength)
}

/** What became of a finding that no longer fires: it was resolved, or a changed policy allows it. */
export function outcomeOf({ state }: Finding): 'resolved' | 'allowed' {
  return state === 'suppressed' ? 'allowed' : 'resolved'
}
