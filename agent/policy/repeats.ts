import { BoundedMap } from '../lib/bounded-map.ts'
import { shortHash } from '../lib/short-hash.ts'
import type { Finding } from '../model/finding.ts'

export type RepeatsOptions = {
  /** How long after its publication a finding takes repeats, in milliseconds; called for each finding. */
  foldMs: () => number
  /** Epoch milliseconds. */
  now: () => number
  /** Findings that an earlier run reported, oldest first: their repeats are folded into them. */
  reported?: readonly Finding[]
}

/** The repeats folded into a finding since the last call. */
export type Repeated = {
  id: string
  /** 0 if all of them were returned before and only their notification is due. */
  count: number
  lastSeen: string
  /** Whether people are to be notified now. */
  isDue: boolean
}

/** What a late update to an event shows: a repeat after all, another act, or an event that is not known. */
export type LateUpdate = 'repeat' | 'other-act' | 'unknown'

/** Folds repeats of an act into its first finding. Acts are equal if their fingerprints are. */
export type Repeats = {
  /** Folds the finding if it is a repeat. */
  fold(finding: Finding, eventKey: string | null): boolean
  /**
   * Call for each finding to report: its repeats are folded from now on. Returns the finding to publish. It gets a
   * fingerprint of its own if it looks like an earlier act whose actor became known only after that was published.
   */
  open(finding: Finding): Finding
  /** Undoes `open` for a finding that turned out to be stored already. */
  forget(finding: Finding): void
  /** More was learned about a reported act: from now on it also has this fingerprint. */
  identify(finding: Finding, fingerprint: string): void
  /** More was learned about an event without a finding; takes it out of its fold if it was another act. */
  separate(finding: Finding, eventKey: string | null): LateUpdate
  /** How often this act has been repeated so far. */
  repetitions(finding: Finding): number
  /** Call every second. At the end of the daemon, `isLast` makes every notification due. */
  take(isLast?: boolean): Repeated[]
}

type Fold = {
  id: string
  /** Its fingerprints when it was published, and by what was learned about it later. */
  published: ReadonlySet<string>
  learned: Set<string>
  until: number
  total: number
  count: number
  lastSeen: string
  notifiedAt: number
}

// A fold takes about 300 bytes: an attacker who keeps inventing names can use 3 MB.
export const maxFolds = 10_000
const maxFolded = 10_000
const notifyEveryMs = 60_000

/** Starts with the folds of an earlier run. */
export function createRepeats({ foldMs, now, reported = [] }: RepeatsOptions): Repeats {
  const folds = new BoundedMap<string, Fold>(maxFolds)
  const foldedEvents = new BoundedMap<string, Fold>(maxFolded)
  /** Folds with repeats that were not returned, or of which people were not notified. */
  const pending = new Set<Fold>()
  for (const finding of reported) openAt(Date.parse(finding.detected_at), finding)

  /** Opens one fold for all names of an act. */
  function openAt(time: number, finding: Finding, ...names: Finding[]): void {
    if (foldMs() === 0) return
    const { id, count, last_seen: lastSeen } = finding
    const all = [finding, ...names]
    const fold = {
      ...{ id, published: new Set(all.map(({ fingerprint }) => fingerprint)), learned: new Set<string>() },
      ...{ until: time + foldMs(), total: count - 1, count: 0, lastSeen, notifiedAt: time },
    }
    for (const name of all) folds.setNewest(keyOf(name), fold)
  }

  function openFold(key: string): Fold | undefined {
    const fold = folds.get(key)
    return foldMs() > 0 && fold !== undefined && now() < fold.until ? fold : undefined
  }

  return {
    fold(finding, eventKey) {
      const fold = openFold(keyOf(finding))
      if (fold === undefined) return false
      fold.total += 1
      fold.count += 1
      if (finding.last_seen > fold.lastSeen) fold.lastSeen = finding.last_seen
      pending.add(fold)
      if (eventKey !== null) foldedEvents.setNewest(eventOf(finding, eventKey), fold)
      return true
    },
    open(finding) {
      const earlier = folds.get(keyOf(finding))
      const isUnclear = earlier?.published.has(finding.fingerprint) && earlier.learned.size > 0
      if (!isUnclear) {
        openAt(now(), finding)
        return finding
      }
      const own = { ...finding, fingerprint: shortHash([finding.fingerprint, finding.id]) }
      openAt(now(), own, finding)
      return own
    },
    forget: (finding) => void folds.delete(keyOf(finding)),
    identify(finding, fingerprint) {
      const fold = folds.get(keyOf(finding))
      if (fold === undefined || fold.id !== finding.id || fingerprint === finding.fingerprint) return
      fold.learned.add(fingerprint)
      folds.set(keyOf({ ...finding, fingerprint }), fold)
    },
    separate(finding, eventKey) {
      const event = eventOf(finding, eventKey ?? '')
      const fold = foldedEvents.get(event)
      if (fold === undefined) return 'unknown'
      if (fold.published.has(finding.fingerprint) || fold.learned.has(finding.fingerprint)) return 'repeat'
      foldedEvents.delete(event)
      fold.total -= 1
      fold.count -= 1
      pending.add(fold)
      return 'other-act'
    },
    repetitions: (finding) => folds.get(keyOf(finding))?.total ?? 0,
    take(isLast = false) {
      const time = now()
      return [...pending].flatMap((fold) => {
        const { id, count, lastSeen } = fold
        const isDue = fold.total > 0 && (isLast || time - fold.notifiedAt >= notifyEveryMs)
        if (isDue) fold.notifiedAt = time
        if (isDue || fold.total <= 0) pending.delete(fold)
        fold.count = 0
        return isDue || count !== 0 ? [{ id, count, lastSeen, isDue }] : []
      })
    },
  }
}

/** Allowed and reported findings are never folded together, even with the same fingerprint. */
function keyOf({ fingerprint, state }: Pick<Finding, 'fingerprint' | 'state'>): string {
  return state === 'suppressed' ? `${fingerprint} allowed` : fingerprint
}

function eventOf({ rule }: Finding, eventKey: string): string {
  return `${rule} ${eventKey}`
}
