import type { Finding, Suppression } from '../model/finding.ts'
import { clip, printable } from '../lib/text.ts'
import { indexEntries } from './allow-index.ts'
import { createLanguage, type Expression } from './cel.ts'
import { type Subject, subjectOf } from './cel-subject.ts'

/** One entry of `policy.allow`; `until` in epoch milliseconds. */
export type AllowEntry = { reason: string; when: string; until?: number | undefined }

export type AllowOptions = {
  entries: readonly AllowEntry[]
  trustLabels: boolean
  now: () => number
  /** Told once of each entry that cannot be asked about a finding, and then does not allow it. */
  onFailure: (entry: string, message: string) => void
}

/** Container labels, as the engine tells them. */
export type Labels = Readonly<Record<string, string>>

/** What is known and wanted. */
export type Allow = {
  /** By what a finding is allowed; null where nothing allows it. */
  by(finding: Finding, labels: Labels): Suppression | null
  entries(): readonly { name: string; reason: string; expired: boolean }[]
}

/** A label of this name and the rule's allows the rule in its container, where labels are trusted. */
export const allowLabel = 'tidewatch.allow/'

type Compiled = AllowEntry & { name: string; rank: number; expression: Expression; hasFailed: boolean }

/** The entries of a configuration that was found valid. */
export function createAllow({ entries, trustLabels, now, onFailure }: AllowOptions): Allow {
  const language = createLanguage()
  const compiled = entries.map((entry, index): Compiled => {
    const expression = language.compile(entry.when)
    const name = `policy.allow[${index}]`
    if (!('matches' in expression)) throw new Error(`${name}: ${expression.message}`)
    return { ...entry, name, rank: index, expression, hasFailed: false }
  })

  const candidatesFor = indexEntries(compiled)

  function byEntry(finding: Finding, labels: Labels): Compiled | undefined {
    const subject = subjectOf(finding, labels)
    const time = now()
    language.begin()
    return candidatesFor(subject).find((entry) => !isExpired(entry, time) && asks(entry, subject))
  }

  function asks(entry: Compiled, subject: Subject): boolean {
    try {
      return entry.expression.matches(subject)
    } catch (error) {
      if (!entry.hasFailed) onFailure(entry.name, error instanceof Error ? error.message : String(error))
      entry.hasFailed = true
      return false
    }
  }

  return {
    by(finding, labels) {
      if (compiled.length > 0) {
        const entry = byEntry(finding, labels)
        if (entry !== undefined) return { by: entry.name, reason: entry.reason }
      }
      const label = trustLabels ? labels[allowLabel + finding.rule] : undefined
      if (label === undefined) return null
      return { by: `label ${allowLabel}${finding.rule}`, reason: printable(clip(label, maxReason)) }
    },
    entries: () => compiled.map((entry) => ({ ...entry, expired: isExpired(entry, now()) })),
  }
}

const maxReason = 200

function isExpired({ until }: AllowEntry, time: number): boolean {
  return until !== undefined && time > until
}
