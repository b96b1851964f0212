import { BoundedMap } from '../lib/bounded-map.ts'
import type { Finding } from '../model/finding.ts'
import { createBudgets } from './budgets.ts'

/** `fold` in milliseconds; the others are findings per minute. */
export type ThrottleSettings = { fold: number; per_container: number; per_rule: number }

export type ThrottleOptions = {
  /** Called for each finding, so that a reload applies from the next one. */
  settings: () => ThrottleSettings
  /** Epoch milliseconds. */
  now: () => number
  /** Findings that an earlier run reported, oldest first: their repeats are folded into them. */
  reported?: readonly Finding[]
}

/** How an event's finding is handled. */
export type Admission = 'reported' | 'folded' | 'over-budget'

/** The repeats folded into a finding since the last call. */
export type Repeats = {
  id: string
  count: number
  lastSeen: string
  /** The first few different summaries of the repeats. */
  summaries: readonly string[]
}

/** The findings suppressed by the budgets in the last minute. */
export type Throttled = {
  count: number
  since: number
  /** Largest group first. */
  groups: readonly { container: Finding['container']; rule: string; count: number }[]
}

/** Keeps repeated and very frequent findings from hiding the rest, and counts what it suppressed. */
export type Throttle = {
  admit(finding: Finding): Admission
  /** Undoes `admit` for a finding that turned out to be stored already. */
  forget(finding: Finding): void
  /** How often this kind of finding has been repeated so far. */
  repetitions(finding: Finding): number
  takeRepeats(): Repeats[]
  takeThrottled(): Throttled | null
}

type Fold = { id: string; until: number; total: number; count: number; lastSeen: string; summaries: string[] }
type Group = { container: Finding['container']; rule: string; count: number }

// A fold takes about 300 bytes: an attacker who keeps inventing names can use 3 MB.
export const maxFolds = 10_000
const maxGroups = 1_000
const maxSummaries = 10

/** Creates the folds and the budgets. All budgets are full again after a restart of the daemon. */
export function createThrottle({ settings, now, reported = [] }: ThrottleOptions): Throttle {
  const folds = new BoundedMap<string, Fold>(maxFolds)
  let changed = new Map<string, Fold>()
  let groups = new Map<string, Group>()
  let throttled = 0
  let since = 0
  const perContainer = createBudgets()
  const perRule = createBudgets()
  for (const finding of reported) resume(finding)

  function resume(finding: Finding): void {
    const { id, count, last_seen: lastSeen, detected_at, evidence } = finding
    const { repeated } = evidence
    const summaries = Array.isArray(repeated) ? repeated.map(String) : []
    const until = Date.parse(detected_at) + settings().fold
    folds.set(keyOf(finding), { id, until, total: count - 1, count: 0, lastSeen, summaries })
  }

  function fold(known: Fold, finding: Finding): void {
    known.total += 1
    known.count += 1
    if (finding.last_seen > known.lastSeen) known.lastSeen = finding.last_seen
    const isNewSummary = known.summaries.length < maxSummaries && !known.summaries.includes(finding.summary)
    if (isNewSummary) known.summaries.push(finding.summary)
    changed.set(known.id, known)
  }

  function openFold(finding: Finding, time: number, foldMs: number): void {
    const { id, last_seen: lastSeen } = finding
    const opened = { id, until: time + foldMs, total: 0, count: 0, lastSeen, summaries: [] }
    folds.setNewest(keyOf(finding), opened)
  }

  function countThrottled({ container, rule }: Finding, time: number): void {
    if (throttled === 0) since = time
    throttled += 1
    const key = `${container?.id ?? ''} ${rule}`
    const group = groups.get(key)
    if (group !== undefined) group.count += 1
    else if (groups.size < maxGroups) groups.set(key, { container, rule, count: 1 })
  }

  return {
    admit(finding) {
      const time = now()
      const { fold: foldMs, per_container, per_rule } = settings()
      const known = folds.get(keyOf(finding))
      if (foldMs > 0 && known !== undefined && time < known.until) {
        fold(known, finding)
        return 'folded'
      }
      // Each severity has its own budget: thousands of minor findings must not hide the critical one.
      const { container, rule, severity, state } = finding
      const ofContainer = `${container?.id ?? ''} ${severity} ${state}`
      const ofRule = `${rule} ${state}`
      if (!perContainer.has(ofContainer, per_container, time) || !perRule.has(ofRule, per_rule, time)) {
        countThrottled(finding, time)
        return 'over-budget'
      }
      perContainer.take(ofContainer)
      perRule.take(ofRule)
      if (foldMs > 0) openFold(finding, time, foldMs)
      return 'reported'
    },
    forget: (finding) => void folds.delete(keyOf(finding)),
    repetitions: (finding) => folds.get(keyOf(finding))?.total ?? 0,
    takeRepeats() {
      const taken = [...changed.values()].map(({ id, count, lastSeen, summaries }) => ({
        id,
        count,
        lastSeen,
        summaries: [...summaries],
      }))
      for (const one of changed.values()) one.count = 0
      changed = new Map()
      return taken
    },
    takeThrottled() {
      perContainer.sweep(now())
      perRule.sweep(now())
      if (throttled === 0) return null
      const taken = {
        count: throttled,
        since,
        groups: [...groups.values()].toSorted((a, b) => b.count - a.count),
      }
      groups = new Map()
      throttled = 0
      return taken
    },
  }
}

/** Allowed and reported findings are never folded together, even with the same fingerprint. */
function keyOf({ fingerprint, state }: Finding): string {
  return state === 'suppressed' ? `${fingerprint} allowed` : fingerprint
}
