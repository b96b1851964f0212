import {
  connect,
  distinctUntilChanged,
  groupBy,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  reduce,
  skip,
  switchMap,
  take,
  timer,
} from 'rxjs'
import { z } from 'zod'
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { EventsLost, SourceStatus } from '../../agent/model/observation.ts'

/** A monitor that went blind must say so itself: attackers impair defences first (MITRE ATT&CK T1562). */
export const monitorIntegrity = defineDetector({
  name: 'monitor-integrity',
  isAboutTidewatch: true,
  rules: {
    'events-lost': {
      severity: 'warning',
      kind: 'event',
      summary: 'Something happened on the host that tidewatch did not see.',
      remedy:
        'Look at what else happened at that time; if it comes again, find out what makes so many events, or report it.',
    },
    'event-budget-exceeded': {
      severity: 'warning',
      kind: 'event',
      summary: 'A container made more process events in a second than its budget, and was not seen whole.',
      remedy:
        'Find out what it starts so many processes for; an attacker may do it to hide, a shell script does it by accident.',
    },
    'findings-throttled': {
      severity: 'warning',
      kind: 'event',
      summary: 'More was found in a minute than the budgets allow to be told; the rest was counted only.',
      remedy:
        'See in the evidence which container and rule it was; allow what is known, or raise policy.throttle if all of it matters.',
    },
    'source-degraded': {
      severity: 'warning',
      kind: 'condition',
      summary: 'A source is down, or works in a mode that sees less than its best one.',
      remedy: 'The evidence says what is missing and how to grant it.',
    },
  },
  evidence: {
    'events-lost': { source: 'text', reason: 'text', count: 'number' },
    'event-budget-exceeded': { source: 'text', reason: 'text', count: 'number' },
    'findings-throttled': {
      count: 'number',
      since: 'text',
      groups: [{ container: 'text', rule: 'text', count: 'number' }],
    },
    'source-degraded': { source: 'text', health: 'text', mode: 'text', reason: 'text' },
  },
  settings: z.strictObject({
    degraded_hold: duration('30s').describe(
      'How long a source must be down or degraded before it is reported.',
    ),
    lost_window: duration('1m').describe('Losses that follow a first one are added up over this time.'),
  }),
  detect: ({ sourceStatuses$, eventsLost$ }: Observed, settings): Observable<Detection> =>
    merge(
      eventsLost$.pipe(
        groupBy(({ source, reason, container }) => [source, reason, container?.id].join('\0'), {
          duration: () => timer(settings.lost_window),
        }),
        mergeMap(addUp),
        map(describeLoss),
      ),
      sourceStatuses$.pipe(
        groupBy(({ source }) => source),
        mergeMap((statuses$) => holdTrouble(statuses$, settings.degraded_hold)),
        map(describeStatus),
      ),
    ),
})

/** The first loss at once, and when the window is over what followed as one sum. */
function addUp(losses$: Observable<EventsLost>): Observable<EventsLost> {
  return losses$.pipe(connect((shared$) => merge(shared$.pipe(take(1)), shared$.pipe(skip(1), reduce(sum)))))
}

function sum(total: EventsLost, { count, time }: EventsLost): EventsLost {
  return { ...total, time, count: total.count + count }
}

type Health = 'well' | 'degraded' | 'down'

function healthOf({ up, best }: SourceStatus): Health {
  if (!up) return 'down'
  return best ? 'well' : 'degraded'
}

/** Trouble only once it has lasted, so that a restart of the engine is no news; its end at once. */
function holdTrouble(statuses$: Observable<SourceStatus>, holdMs: number): Observable<SourceStatus> {
  return statuses$.pipe(
    distinctUntilChanged((a, b) => healthOf(a) === healthOf(b)),
    switchMap((status) => (healthOf(status) === 'well' ? of(status) : timer(holdMs).pipe(map(() => status)))),
  )
}

function describeStatus(status: SourceStatus): Detection {
  const { source, mode, reason, time } = status
  const health = healthOf(status)
  const trouble = health === 'down' ? 'is down' : `works in mode ${mode} only`
  return {
    rule: 'source-degraded',
    state: health === 'well' ? 'resolved' : 'firing',
    time,
    container: null,
    summary: health === 'well' ? `source ${source} is well again` : `source ${source} ${trouble}: ${reason}`,
    subject: [source],
    evidence: { source, health, mode, reason },
  }
}

function describeLoss({ source, reason, count, time, container }: EventsLost): Detection {
  const events = count === 1 ? 'an event' : `${count} events`
  const evidence = { source, reason, count }
  if (container === undefined) {
    const summary = `source ${source} lost ${events}: ${reason}`
    return { rule: 'events-lost', time, container: null, summary, subject: [source, reason], evidence }
  }
  const summary = `${container.name} made more process events than its budget; ${events} of it not seen`
  return { rule: 'event-budget-exceeded', time, container, summary, subject: [source], evidence }
}
