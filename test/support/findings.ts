import { detectorConfigFor, type Config } from '../../agent/config/schema.ts'
import { currentConfig } from '../../agent/config/current.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import { createFindings, type Findings, type FindingsOptions } from '../../agent/findings/findings.ts'
import type { Publication } from '../../agent/findings/publication.ts'
import { currentRedactor } from '../../agent/policy/current-redactor.ts'

/** A findings core of the host node-7 with counted ids, without earlier findings, and without a policy. */
export function sampleFindings(options: Partial<FindingsOptions> & { config?: () => Config } = {}): Findings {
  const defaults = configuration.defaults()
  const { config = () => defaults, ...others } = options
  let id = 0
  return createFindings({
    host: 'node-7',
    hostId: 'a machine',
    now: () => 2_000_004,
    newId: () => String((id += 1)),
    configOf: (name, container) => detectorConfigFor(config(), name, container),
    allowedBy: () => null,
    redact: currentRedactor(currentConfig(config())),
    firing: [],
    ended: [],
    findByEventKey: () => null,
    ...others,
  })
}

/** The publication of a detection that causes at most one; null if it causes none. */
export function onlyOne(publications: readonly Publication[]): Publication | null {
  if (publications.length > 1) throw new Error(`${publications.length} publications`)
  return publications[0] ?? null
}
