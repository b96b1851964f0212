import { limitUse } from '../prometheus/rules/recording.ts'
import { dashboard } from './frame.ts'
import { barCell, bars, lostBySource, of, severityColors, stat, table, timeline, upOrDown } from './parts.ts'

/** What happens now on the hosts that are chosen: what was found, which containers are near a limit, what is watched. */
export const hostOverview = () =>
  dashboard({
    uid: 'tidewatch-host-overview',
    title: 'tidewatch / Host overview',
    description: 'What tidewatch finds on its hosts, and whether it sees everything.',
    rows: {
      Now: [
        stat({
          title: 'Firing now',
          description: 'Conditions that fire: they are not over yet. The table below names them.',
          unit: 'none',
          queries: { conditions: `sum(tidewatch_findings_active${of('severity!="info"')}) or vector(0)` },
          warnFrom: 1,
        }),
        stat({
          title: 'Critical findings',
          description: 'Findings of severity critical in the time that is shown.',
          unit: 'none',
          queries: { critical: foundInRange('critical') },
          badFrom: 1,
        }),
        stat({
          title: 'Warnings',
          description: 'Findings of severity warning in the time that is shown.',
          unit: 'none',
          queries: { warnings: foundInRange('warning') },
          warnFrom: 1,
        }),
        stat({
          title: 'Running containers',
          description: 'Containers that run on the chosen hosts.',
          unit: 'none',
          queries: { running: `sum(tidewatch_containers${of('state="running"')})` },
        }),
        stat({
          title: 'Hosts without tidewatch',
          description: 'Hosts whose daemon could not be scraped: nobody watches them.',
          unit: 'none',
          queries: { down: `count(up${of()} == 0) or vector(0)` },
          badFrom: 1,
        }),
        stat({
          title: 'Sources down',
          description: 'Sources that are not attached: what they would see is not seen.',
          unit: 'none',
          queries: { down: `count(tidewatch_source_up${of()} == 0) or vector(0)` },
          badFrom: 1,
        }),
      ],
      Findings: [
        bars({
          title: 'Findings by severity',
          description: 'How many things were found in each interval, by how bad they are.',
          unit: 'none',
          queries: {
            '{{severity}}': `sum by (severity) (increase(tidewatch_findings_total${of()}[$__rate_interval]))`,
          },
          badFrom: 1,
          width: 12,
        }).overrides(severityColors),
        bars({
          title: 'Findings by rule',
          description: 'The same by rule, for the ten rules that speak most in each interval.',
          unit: 'none',
          queries: {
            '{{rule}}': `topk(10, sum by (rule) (increase(tidewatch_findings_total${of()}[$__rate_interval])))`,
          },
          warnFrom: 1,
          width: 12,
        }),
        table(
          {
            title: 'Active conditions',
            description: 'What fires now, and in which container. Empty when all is well.',
            unit: 'none',
            queries: { '': `tidewatch_findings_active${of()} > 0` },
            warnFrom: 1,
            width: 12,
          },
          {
            severity: 'Severity',
            rule: 'Rule',
            container: 'Container',
            image: 'Image',
            instance: 'Host',
            Value: 'Conditions',
          },
        ),
        table(
          {
            title: 'Last findings',
            description:
              'When each rule last spoke of each container, newest first; of the last hour at least. The whole finding: tidewatch findings.',
            unit: 'dateTimeFromNow',
            queries: { '': `sort_desc(topk(50, tidewatch_finding_last_timestamp_seconds${of()})) * 1000` },
            warnFrom: 0,
            width: 12,
          },
          {
            Value: 'When',
            severity: 'Severity',
            rule: 'Rule',
            container: 'Container',
            image: 'Image',
            instance: 'Host',
          },
        ),
      ],
      Containers: [
        table(
          {
            title: 'Nearest to their limits',
            description:
              'Share of the limit that is used: memory, processes; of CPU the share of periods that were throttled. Needs the recording rules that come with tidewatch.',
            unit: 'percentunit',
            queries: { '': `sort_desc(topk(15, ${limitUse}${of()}))` },
            warnFrom: 0.8,
            badFrom: 0.9,
            width: 12,
          },
          { container: 'Container', resource: 'Resource', Value: 'Used', instance: 'Host' },
        ).overrideByName('Used', barCell),
        bars({
          title: 'Execs',
          description: 'Execs through the Docker API by kind; health checks are counted and not reported.',
          unit: 'none',
          queries: { '{{kind}}': `sum by (kind) (increase(tidewatch_execs_total${of()}[$__rate_interval]))` },
          warnFrom: 100,
          width: 12,
        }),
        bars({
          title: 'Kills for want of memory, restarts, refused forks',
          description: 'What containers suffered from their limits.',
          unit: 'none',
          queries: {
            'OOM kills': `sum(increase(tidewatch_container_oom_kills_total${of()}[$__rate_interval]))`,
            restarts: `sum(increase(tidewatch_container_restarts_total${of()}[$__rate_interval]))`,
            'refused forks': `sum(increase(tidewatch_container_forks_refused_total${of()}[$__rate_interval]))`,
          },
          warnFrom: 1,
          width: 12,
        }),
        stat({
          title: 'Containers without a limit',
          description: 'Running containers that may take all of a resource from the host.',
          unit: 'none',
          queries: { '{{resource}}': `sum by (resource) (tidewatch_container_limit_missing${of()})` },
          warnFrom: 1,
          width: 12,
          height: 8,
        }),
      ],
      Sources: [
        timeline({
          title: 'Sources',
          description: 'Which sources were attached, and when not.',
          unit: 'bool_on_off',
          queries: { '{{source}} on {{instance}}': `tidewatch_source_up${of()}` },
          width: 12,
        }).mappings(upOrDown),
        table(
          {
            title: 'Modes',
            description:
              'How each source sees: eBPF and fanotify see most. Why not a better one: the status page.',
            unit: 'none',
            queries: { '': `tidewatch_source_mode${of()} == 1` },
            width: 6,
          },
          { source: 'Source', mode: 'Mode', instance: 'Host' },
        ),
        bars({
          title: 'Events lost',
          description: 'What a source could not see or keep. Anything above nothing is worth a look.',
          unit: 'none',
          queries: { '{{source}}': lostBySource },
          badFrom: 1,
          width: 6,
        }),
      ],
    },
  })

function foundInRange(severity: string): string {
  return `round(sum(increase(tidewatch_findings_total${of(`severity="${severity}"`)}[$__range])))`
}
