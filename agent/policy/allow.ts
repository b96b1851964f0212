import type { Finding, Suppression } from '../model/finding.ts'
import { clip, printable } from '../lib/text.ts'
import { indexEntries } from './allow-index.ts'
import { createLanguage, type Expression } from './cel.ts'
import { type Subject, subjectOf } from './cel-subject.ts'
import { renameNotice } from './renamed-evidence.ts'

/** One entry of `policy.allow`; `until` in epoch milliseconds. */
export type AllowEntry = { reason: string; when: string; until?: number | undefined }

export type AllowOptions = {
  entries: readonly AllowEntry[]
  trustLabels: boolean
  now: () => number
  /** Called once for each entry that fails to evaluate for a finding; the entry then does not allow the finding. */
  onFailure: (entry: string, message: string) => void
  /** Called for each deprecated name that an entry uses. */
  onDeprecated?: (entry: string, notice: string) => void
}

/** Container labels, as reported by the engine. */
export type Labels = Readonly<Record<string, string>>

/** The expected behaviour that `policy.allow` and trusted labels describe. */
export type Allow = {
  /** Returns what allows a finding; null if nothing does. */
  by(finding: Finding, labels: Labels): Suppression | null
  entries(): readonly { name: string; reason: string; expired: boolean }[]
}

/** The label with this prefix and a rule's name allows the rule in its container, if labels are trusted. */
export const allowLabel = 'tidewatch.allow/'

type Compiled = AllowEntry & { name: string; rank: number; expression: Expression; hasFailed: boolean }

/** Compiles the entries of a valid configuration. */
export function createAllow({
  entries,
  trustLabels,
  now,
  onFailure,
  onDeprecated = () => undefined,
}: AllowOptions): Allow {
  const language = createLanguage()
  const compiled = entries.map((entry, index): Compiled => {
    const expression = language.compile(entry.when)
    const name = `policy.allow[${index}]`
    if (!('matches' in expression)) throw new Error(`${name}: ${expression.message}`)
    for (const oldName of expression.oldNames) onDeprecated(name, renameNotice(name, oldName))
    return { ...entry, name, rank: index, expression, hasFailed: false }
  })

  const candidatesFor = indexEntries(compiled)

  function byEntry(finding: Finding, labels: Labels): Compiled | undefined {
    const subject = subjectOf(finding, labels)
    const time = now()
    language.startFinding()
    return candidatesFor(subject).find((entry) => !isExpired(entry, time) && isTrue(entry, subject))
  }

  function isTrue(entry: Compiled, subject: Subject): boolean {
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
