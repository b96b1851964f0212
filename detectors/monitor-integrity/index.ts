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

/** A monitor must report its own blind spots: attackers impair defences first (MITRE ATT&CK T1562). */
export const monitorIntegrity = defineDetector({
  name: 'monitor-integrity',
  isAboutTidewatch: true,
  rules: {
    'events-lost': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1562',
      summary: 'Events were lost: something happened on the host that tidewatch did not see.',
      remedy:
        'Check what else happened at that time. If it recurs, find out what causes so many events, or report a bug.',
    },
    'event-budget-exceeded': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1562',
      summary: 'A container exceeded its budget of process events per second; some events were dropped.',
      remedy:
        'Find out why it starts so many processes. An attacker may do it to hide, a shell script does it by accident.',
    },
    'findings-throttled': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1562',
      summary:
        'More findings occurred in a minute than the budgets allow; the rest were only counted, by rule, container, program and actor.',
      remedy:
        'The evidence lists rules, containers, programs and actors. Allow known ones, or raise policy.throttle if all of them matter.',
    },
    'source-degraded': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1562',
      summary: 'A source is down or runs in a fallback mode with reduced coverage.',
      remedy: 'The reason in the evidence names what is missing and how to grant it.',
    },
  },
  evidence: {
    'events-lost': { source: 'text', reason: 'text', count: 'number' },
    'event-budget-exceeded': { source: 'text', reason: 'text', count: 'number' },
    'findings-throttled': {
      count: 'number',
      since: 'text',
      in_other_groups: 'number',
      groups: [
        {
          ...{ container: 'text', rule: 'text', count: 'number' },
          ...{ programs: ['text'], other_programs: 'number', actors: ['text'], other_actors: 'number' },
        },
      ],
    },
    'source-degraded': { source: 'text', health: 'text', mode: 'text', reason: 'text' },
  },
  settings: z.strictObject({
    degraded_hold: duration('30s').describe(
      'How long a source must be down or degraded before it is reported.',
    ),
    lost_window: duration('1m').describe('Time window over which losses after the first one are added up.'),
  }),
  detect: ({ on }: Observed, settings): Observable<Detection> =>
    merge(
      on('events-lost').pipe(
        groupBy(({ source, reason, container }) => [source, reason, container?.id].join('\0'), {
          duration: () => timer(settings.lost_window),
        }),
        mergeMap(addUp),
        map(describeLoss),
      ),
      on('source-status').pipe(
        groupBy(({ source }) => source),
        mergeMap((statuses$) => holdProblems(statuses$, settings.degraded_hold)),
        map(describeStatus),
      ),
    ),
})

/** The first loss immediately, and the sum of the following ones at the end of the window. */
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

/** Problems only after they have lasted, so that an engine restart is not reported; recovery immediately. */
function holdProblems(statuses$: Observable<SourceStatus>, holdMs: number): Observable<SourceStatus> {
  return statuses$.pipe(
    distinctUntilChanged((a, b) => healthOf(a) === healthOf(b)),
    switchMap((status) => (healthOf(status) === 'well' ? of(status) : timer(holdMs).pipe(map(() => status)))),
  )
}

function describeStatus(status: SourceStatus): Detection {
  const { source, mode, reason, time } = status
  const health = healthOf(status)
  const problem = health === 'down' ? 'is down' : `is degraded (mode ${mode})`
  return {
    rule: 'source-degraded',
    state: health === 'well' ? 'resolved' : 'firing',
    time,
    container: null,
    summary: health === 'well' ? `it recovered (mode ${mode})` : `source ${source} ${problem}: ${reason}`,
    subject: [source],
    evidence: { source, health, mode, reason },
  }
}

function describeLoss({ source, reason, count, time, container }: EventsLost): Detection {
  const events = count === 1 ? '1 event' : `${count} events`
  const evidence = { source, reason, count }
  if (container === undefined) {
    const summary = `source ${source} lost ${events}: ${reason}`
    return { rule: 'events-lost', time, container: null, summary, subject: [source, reason], evidence }
  }
  const summary = `${container.name} exceeded its process event budget (${events} dropped)`
  return { rule: 'event-budget-exceeded', time, container, summary, subject: [source, reason], evidence }
}
