import { BoundedMap } from '../lib/bounded-map.ts'
import type { Finding } from '../model/finding.ts'
import { createBudgets } from './budgets.ts'

/** Findings per minute. */
export type ThrottleSettings = { per_container: number; per_rule: number }

export type ThrottleOptions = {
  /** Called for each finding, so that a reload applies from the next one. */
  settings: () => ThrottleSettings
  /** Epoch milliseconds. */
  now: () => number
}

/** The program of an operation and its actor; empty where unknown. */
export type ThrottledAct = { program: string; actor: string }

/** The findings suppressed by the budgets in the last minute. */
export type Throttled = {
  count: number
  since: number
  /** Largest group first. */
  groups: readonly ThrottledGroup[]
  /** How many of the findings are in none of the groups, because there were too many. */
  ungrouped: number
}

/** The findings of one rule in one container, with the programs and actors that occurred most often among the first. */
export type ThrottledGroup = {
  container: Finding['container']
  rule: string
  count: number
  programs: Tally
  actors: Tally
}

/** How often each name occurred, and how often names occurred that are not listed. */
export type Tally = { named: ReadonlyMap<string, number>; others: number }

/** Keeps very frequent findings from hiding the rest, and accounts for each that it suppressed. */
export type Throttle = {
  /** Whether the finding is within the budgets; if not, it is accounted for. */
  admit(finding: Finding, act: ThrottledAct): boolean
  takeThrottled(): Throttled | null
}

type Group = Omit<ThrottledGroup, 'programs' | 'actors'> & Record<'programs' | 'actors', MutableTally>
type MutableTally = { named: BoundedMap<string, number>; others: number }

const maxGroups = 1_000
const maxNamed = 20

/** Creates the budgets. All of them are full again after a restart of the daemon. */
export function createThrottle({ settings, now }: ThrottleOptions): Throttle {
  let groups = new Map<string, Group>()
  let throttled = 0
  let ungrouped = 0
  let since = 0
  const perContainer = createBudgets()
  const perRule = createBudgets()

  function account({ container, rule }: Finding, act: ThrottledAct, time: number): void {
    if (throttled === 0) since = time
    throttled += 1
    const group = groupOf(container, rule)
    if (group === undefined) {
      ungrouped += 1
      return
    }
    group.count += 1
    addTo(group.programs, act.program)
    addTo(group.actors, act.actor)
  }

  function groupOf(container: Finding['container'], rule: string): Group | undefined {
    const key = `${container?.id ?? ''} ${rule}`
    const known = groups.get(key)
    if (known !== undefined || groups.size >= maxGroups) return known
    const group = { container, rule, count: 0, programs: emptyTally(), actors: emptyTally() }
    groups.set(key, group)
    return group
  }

  return {
    admit(finding, act) {
      const time = now()
      const { per_container, per_rule } = settings()
      // Each severity has its own budget: thousands of minor findings must not hide the critical one.
      const { container, rule, severity, state } = finding
      const ofContainer = `${container?.id ?? ''} ${severity} ${state}`
      const ofRule = `${rule} ${state}`
      if (!perContainer.has(ofContainer, per_container, time) || !perRule.has(ofRule, per_rule, time)) {
        account(finding, act, time)
        return false
      }
      perContainer.take(ofContainer)
      perRule.take(ofRule)
      return true
    },
    takeThrottled() {
      perContainer.sweep(now())
      perRule.sweep(now())
      if (throttled === 0) return null
      const sorted = [...groups.values()].toSorted((a, b) => b.count - a.count)
      const taken = { count: throttled, since, groups: sorted, ungrouped }
      groups = new Map()
      throttled = 0
      ungrouped = 0
      return taken
    },
  }
}

function emptyTally(): MutableTally {
  return { named: new BoundedMap(maxNamed), others: 0 }
}

function addTo(tally: MutableTally, name: string): void {
  if (name === '') return
  const known = tally.named.get(name)
  if (known !== undefined || tally.named.size < maxNamed) tally.named.set(name, (known ?? 0) + 1)
  else tally.others += 1
}
