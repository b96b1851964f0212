import type { Finding } from '../model/finding.ts'
import { createBudgets } from './budgets.ts'

/** `fold` in milliseconds; the others are findings a minute. */
export type ThrottleSettings = { fold: number; per_container: number; per_rule: number }

export type ThrottleOptions = {
  /** Asked for each finding, so that a reload holds from the next on. */
  settings: () => ThrottleSettings
  /** Epoch milliseconds. */
  now: () => number
  /** What an earlier run told, the oldest first: repetitions of it are folded into it. */
  told?: readonly Finding[]
}

/** What becomes of an event's finding. */
export type Admission = 'told' | 'folded' | 'over-budget'

/** What has been folded into a finding since it was last asked for. */
export type Folded = {
  id: string
  count: number
  lastSeen: string
  /** The first few different summaries of the repetitions. */
  summaries: readonly string[]
}

/** What was found beyond the budgets in the last minute. */
export type Excess = {
  count: number
  since: number
  /** The most of them first. */
  groups: readonly { container: Finding['container']; rule: string; count: number }[]
}

/** Keeps what repeats itself, or comes in thousands, from drowning the rest; it says how much it held back. */
export type Throttle = {
  admit(finding: Finding): Admission
  /** It was told as the first of its kind, but turned out to be known already. */
  forget(finding: Finding): void
  /** How often a finding's first of its kind was repeated so far. */
  repetitions(finding: Finding): number
  takeFolded(): Folded[]
  takeExcess(): Excess | null
}

type Fold = { id: string; until: number; total: number; count: number; lastSeen: string; summaries: string[] }
type Group = { container: Finding['container']; rule: string; count: number }

// A fold takes some 300 bytes: 3 MB is what an attacker with ever new names may cost.
export const maxFolds = 10_000
const maxGroups = 1_000
const maxSummaries = 10

/** Folds, and budgets, which begin anew with the process. */
export function createThrottle({ settings, now, told = [] }: ThrottleOptions): Throttle {
  const folds = new Map<string, Fold>()
  let changed = new Map<string, Fold>()
  let groups = new Map<string, Group>()
  let excess = 0
  let since = 0
  const perContainer = createBudgets()
  const perRule = createBudgets()
  for (const finding of told) resume(finding)

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
    const isWorthKeeping = known.summaries.length < maxSummaries && !known.summaries.includes(finding.summary)
    if (isWorthKeeping) known.summaries.push(finding.summary)
    changed.set(known.id, known)
  }

  function open(finding: Finding, time: number, foldMs: number): void {
    const { id, last_seen: lastSeen } = finding
    const key = keyOf(finding)
    // The newest is the last of the map, so that the oldest goes first.
    folds.delete(key)
    folds.set(key, { id, until: time + foldMs, total: 0, count: 0, lastSeen, summaries: [] })
    if (folds.size <= maxFolds) return
    const [oldest] = folds.keys()
    if (oldest !== undefined) folds.delete(oldest)
  }

  function refuse({ container, rule }: Finding, time: number): void {
    if (excess === 0) since = time
    excess += 1
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
      // Each severity has a budget of its own: thousands of small things must not hide the one that matters.
      const { container, rule, severity, state } = finding
      const ofContainer = `${container?.id ?? ''} ${severity} ${state}`
      const ofRule = `${rule} ${state}`
      if (!perContainer.has(ofContainer, per_container, time) || !perRule.has(ofRule, per_rule, time)) {
        refuse(finding, time)
        return 'over-budget'
      }
      perContainer.take(ofContainer)
      perRule.take(ofRule)
      if (foldMs > 0) open(finding, time, foldMs)
      return 'told'
    },
    forget: (finding) => void folds.delete(keyOf(finding)),
    repetitions: (finding) => folds.get(keyOf(finding))?.total ?? 0,
    takeFolded() {
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
    takeExcess() {
      perContainer.sweep(now())
      perRule.sweep(now())
      if (excess === 0) return null
      const taken = {
        count: excess,
        since,
        groups: [...groups.values()].toSorted((a, b) => b.count - a.count),
      }
      groups = new Map()
      excess = 0
      return taken
    },
  }
}

/** What is allowed and what is not are never one, though they be of one kind. */
function keyOf({ fingerprint, state }: Finding): string {
  return state === 'suppressed' ? `${fingerprint} allowed` : fingerprint
}
