import type { Expression } from './cel.ts'
import { notText, type Reader } from './cel-guards.ts'
import type { Subject } from './cel-subject.ts'

/** An entry, and its place among the others: the first that is true allows. */
type Ranked = { rank: number; expression: Expression }

type Lookup<Entry> = { get: Reader; byText: Map<string, Entry[]>; all: Entry[] }

/**
 * Finds, in their order, the entries that can be true for a finding, without asking each: those that demand another
 * rule, or another text in some field (`container.name == "x"`), are passed over together.
 */
export function indexEntries<Entry extends Ranked>(entries: readonly Entry[]) {
  const byRule = new Map<string, { detector: string; find: (subject: Subject) => readonly Entry[] }>()
  return (subject: Subject): readonly Entry[] => {
    const { rule, detector } = subject
    let ofRule = byRule.get(rule)
    if (ofRule?.detector !== detector) {
      const concerned = entries.filter(({ expression }) => expression.concerns(subject))
      // There are some dozens of rules.
      byRule.set(rule, (ofRule = { detector, find: byText(concerned) }))
    }
    return ofRule.find(subject)
  }
}

function emptyLookup<Entry>(get: Reader): Lookup<Entry> {
  return { get, byText: new Map<string, Entry[]>(), all: [] }
}

function byText<Entry extends Ranked>(entries: readonly Entry[]) {
  const lookups = new Map<string, Lookup<Entry>>()
  const others: Entry[] = []
  for (const entry of entries) {
    const wanted = entry.expression.guards.find(
      ({ ofRule, oneOf }) => ofRule === null && oneOf !== null,
    )?.oneOf
    if (wanted == null) {
      others.push(entry)
      continue
    }
    const lookup = lookups.get(wanted.field) ?? emptyLookup<Entry>(wanted.get)
    lookups.set(wanted.field, lookup)
    lookup.all.push(entry)
    for (const text of wanted.texts) lookup.byText.set(text, [...(lookup.byText.get(text) ?? []), entry])
  }
  const all = [...lookups.values()]

  return (subject: Subject): readonly Entry[] => {
    let found: Entry[] | undefined
    for (const lookup of all) {
      const given = lookup.get(subject)
      const here = given === notText ? lookup.all : given === undefined ? [] : lookup.byText.get(given)
      if (here !== undefined && here.length > 0) (found ??= [...others]).push(...here)
    }
    return found === undefined ? others : found.toSorted((a, b) => a.rank - b.rank)
  }
}
