import { isoTime } from '../lib/iso-time.ts'
import { unknownContainer } from '../model/container.ts'
import type { Detection, Json } from '../model/finding.ts'
import type { Tally, Throttled, ThrottledGroup } from './throttle.ts'

const maxGroups = 10
const maxInSummary = 3

/** One finding that accounts for everything the budgets suppressed, by rule, container, program and actor. */
export function throttledDetection({ count, since, groups, ungrouped }: Throttled, time: number): Detection {
  const [first] = groups
  const isOneContainer =
    ungrouped === 0 && groups.every(({ container }) => container?.id === first?.container?.id)
  const container = isOneContainer ? (first?.container ?? null) : null
  const listed = groups.slice(0, maxGroups)
  const unlisted = count - listed.reduce((sum, group) => sum + group.count, 0)
  return {
    rule: 'findings-throttled',
    time,
    container: container === null ? null : unknownContainer(container.id, container.name, container.image),
    summary: `${count} more ${count === 1 ? 'finding' : 'findings'} suppressed in the last minute: ${summaryOf(groups)}`,
    subject: [isoTime(since)],
    evidence: {
      count,
      since: isoTime(since),
      groups: listed.map(evidenceOf),
      ...(unlisted > 0 && { in_other_groups: unlisted }),
    },
  }
}

function summaryOf(groups: readonly ThrottledGroup[]): string {
  const phrases = groups.slice(0, maxInSummary).map(({ container, rule, count, programs, actors }) => {
    const where = container === null ? '' : ` in ${container.name}`
    return `${count} ${rule}${where}${detailsOf(programs, actors)}`
  })
  const left = groups.length - phrases.length
  return [...phrases, ...(left > 0 ? [`and ${left} more rules or containers`] : [])].join(', ')
}

function detailsOf(programs: Tally, actors: Tally): string {
  const by = namesOf(actors)
  const details = [namesOf(programs), by === '' ? '' : `by ${by}`].filter((text) => text !== '')
  return details.length === 0 ? '' : ` (${details.join('; ')})`
}

/** The most frequent names, and how many others there were. */
function namesOf({ named, others }: Tally): string {
  const names = byFrequency(named).map(([name]) => name)
  const left = names.length - maxInSummary
  const more = others > 0 ? 'and others' : left > 0 ? `and ${left} more` : ''
  return [names.slice(0, maxInSummary).join(', '), more].filter((text) => text !== '').join(' ')
}

function evidenceOf({ container, rule, count, programs, actors }: ThrottledGroup): Json {
  return {
    container: container?.name ?? '',
    rule,
    count,
    ...tallyEvidence('programs', programs),
    ...tallyEvidence('actors', actors),
  }
}

function tallyEvidence(key: 'programs' | 'actors', { named, others }: Tally): Record<string, Json> {
  if (named.size === 0) return {}
  return {
    [key]: byFrequency(named).map(([name, times]) => `${name} (${times})`),
    ...(others > 0 && { [`other_${key}`]: others }),
  }
}

function byFrequency(named: Tally['named']): [name: string, count: number][] {
  return [...named].toSorted(([, a], [, b]) => b - a)
}
