import type { Finding, Severity } from '../../agent/model/finding.ts'
import { printable } from '../../agent/lib/text.ts'
import { evidenceLines, evidenceText } from '../evidence.ts'
import type { Describe } from '../receiver.ts'
import { endOf, outcomeOf, resolutionOf } from '../resolution.ts'
import { isoTime } from '../../agent/lib/iso-time.ts'

/**
 * An alert in the format of Falco's `json_output` (https://falco.org/docs/concepts/outputs/formatting/). falcosidekick
 * accepts it, so that all its outputs work for tidewatch too.
 */
export type FalcoAlert = {
  uuid: string
  output: string
  priority: string
  rule: string
  time: string
  source: string
  hostname: string
  tags: readonly string[]
  output_fields: Readonly<Record<string, string | number | boolean>>
}

// Falco uses the priorities of syslog (https://falco.org/docs/concepts/rules/basic-elements/#priority).
const priorities: Readonly<Record<Severity, string>> = {
  info: 'Informational',
  warning: 'Warning',
  critical: 'Critical',
}

/** Converts a finding. Evidence uses Falco's field names where they exist, and `tidewatch.…` otherwise. */
export function toFalco(finding: Finding, { techniqueOf }: Pick<Describe, 'techniqueOf'>): FalcoAlert {
  const { id, severity, rule, host, detector, state, kind, count, fingerprint, container } = finding
  // The end of a finding must not alert like its start: receivers route by priority.
  const priority = priorities[state === 'firing' ? severity : 'info']
  const time = state === 'firing' ? finding.time : isoTime(endOf(finding))
  return {
    uuid: id,
    output: printable(`${time}: ${priority} ${textOf(finding)}`),
    priority,
    rule,
    time,
    source: 'tidewatch',
    hostname: host,
    tags: ['tidewatch', detector, kind, state, techniqueOf(rule)].filter((tag) => tag !== ''),
    output_fields: withoutEmpty({
      'evt.time': time,
      'container.id': container?.id.slice(0, 12),
      'container.name': container?.name,
      ...imageFields(container?.image ?? ''),
      ...processFields(finding.evidence),
      ...evidenceFields(finding.evidence),
      'tidewatch.severity': severity,
      'tidewatch.resolution': resolutionOf(finding),
      'tidewatch.count': count,
      'tidewatch.fingerprint': fingerprint,
    }),
  }
}

function textOf(finding: Finding): string {
  const { summary, state, count } = finding
  const resolution = resolutionOf(finding)
  if (state !== 'firing') return `${outcomeOf(finding)}: ${summary}${resolution && ` (${resolution})`}`
  return count > 1 ? `${summary} (${count} times)` : summary
}

/** Splits repository and tag: a colon after the last slash starts the tag, one before it belongs to a port. */
function imageFields(image: string) {
  const tagAt = image.indexOf(':', image.lastIndexOf('/') + 1)
  return {
    'container.image': image,
    'container.image.repository': tagAt < 0 ? image : image.slice(0, tagAt),
    'container.image.tag': tagAt < 0 ? '' : image.slice(tagAt + 1),
  }
}

function processFields({ argv, pid, user, program }: Finding['evidence']) {
  const words = Array.isArray(argv) && argv.every((one) => typeof one === 'string') ? argv : []
  return {
    'proc.cmdline': evidenceText(words, maxText),
    'proc.name': evidenceText(words[0], maxText).split('/').at(-1),
    'proc.exepath': evidenceText(program, maxText),
    'proc.pid': typeof pid === 'number' ? pid : undefined,
    'user.name': evidenceText(user, maxText),
  }
}

const maxText = 1_000

function evidenceFields(evidence: Finding['evidence']): Record<string, string | number | boolean> {
  return Object.fromEntries(
    evidenceLines(evidence, maxText).map(([key, text]) => {
      const value = evidence[key]
      const isPlain = typeof value === 'number' || typeof value === 'boolean'
      return [`tidewatch.${key.replace(/\W/g, '_')}`, isPlain ? value : text]
    }),
  )
}

function withoutEmpty(record: Record<string, string | number | boolean | undefined>) {
  return Object.fromEntries(
    Object.entries(record).filter(
      (entry): entry is [string, string | number | boolean] => entry[1] !== undefined && entry[1] !== '',
    ),
  )
}
