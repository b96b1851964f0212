import { isoTime } from '../lib/iso-time.ts'
import { unknownContainer } from '../model/container.ts'
import type { Detection } from '../model/finding.ts'
import type { Throttled } from './throttle.ts'

const maxGroups = 10

/** One finding for everything the budgets suppressed, so that no finding is dropped silently. */
export function throttledDetection({ count, since, groups }: Throttled, time: number): Detection {
  const [first] = groups
  const isOneContainer = groups.every(({ container }) => container?.id === first?.container?.id)
  const container = isOneContainer ? (first?.container ?? null) : null
  const named = groups.slice(0, maxGroups).map((group) => ({
    container: group.container?.name ?? '',
    rule: group.rule,
    count: group.count,
  }))
  const most = named
    .slice(0, 3)
    .map((group) => `${group.count} ${group.rule}${group.container === '' ? '' : ` in ${group.container}`}`)
  return {
    rule: 'findings-throttled',
    time,
    container: container === null ? null : unknownContainer(container.id, container.name, container.image),
    summary: `${count} more ${count === 1 ? 'finding' : 'findings'} suppressed in the last minute: ${most.join(', ')}`,
    subject: [],
    evidence: { count, since: isoTime(since), groups: named },
  }
}
