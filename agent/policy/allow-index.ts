import type { Expression } from './cel.ts'
import { notText, type Reader } from './cel-guards.ts'
import type { Subject } from './cel-subject.ts'

/** An entry and its position in the list: the first entry that is true allows the finding. */
type Ranked = { rank: number; expression: Expression }

type Lookup<Entry> = { get: Reader; byText: Map<string, Entry[]>; all: Entry[] }

/**
 * Finds the entries that can be true for a finding, in order, without evaluating each one: entries that require
 * another rule, or another value in some field (`container.name == "x"`), are skipped as a group.
 */
export function indexEntries<Entry extends Ranked>(entries: readonly Entry[]) {
  const byRule = new Map<string, { detector: string; find: (subject: Subject) => readonly Entry[] }>()
  return (subject: Subject): readonly Entry[] => {
    const { rule, detector } = subject
    let ofRule = byRule.get(rule)
    if (ofRule?.detector !== detector) {
      const relevant = entries.filter(({ expression }) => expression.concerns(subject))
      // Bounded: there are a few dozen rules.
      byRule.set(rule, (ofRule = { detector, find: byText(relevant) }))
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
