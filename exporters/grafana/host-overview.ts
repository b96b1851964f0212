import { limitUse } from '../prometheus/rules/recording.ts'
import { dashboard } from './frame.ts'
import {
  barCell,
  bars,
  lostBySource,
  selector,
  severityColors,
  stat,
  table,
  timeline,
  upOrDown,
} from './panels.ts'

/** The selected hosts: findings, containers near their limits, and the state of the sources. */
export const hostOverview = () =>
  dashboard({
    uid: 'tidewatch-host-overview',
    title: 'tidewatch / Host overview',
    description: 'Findings of tidewatch on the selected hosts, and the health of its sources.',
    rows: {
      Now: [
        stat({
          title: 'Firing now',
          description: 'Conditions that are currently firing. The table below lists them.',
          unit: 'none',
          queries: {
            conditions: `sum(tidewatch_findings_active${selector('severity!="info"')}) or vector(0)`,
          },
          warnFrom: 1,
        }),
        stat({
          title: 'Critical findings',
          description: 'Findings of severity critical in the selected time range.',
          unit: 'none',
          queries: { critical: foundInRange('critical') },
          badFrom: 1,
        }),
        stat({
          title: 'Warnings',
          description: 'Findings of severity warning in the selected time range.',
          unit: 'none',
          queries: { warnings: foundInRange('warning') },
          warnFrom: 1,
        }),
        stat({
          title: 'Running containers',
          description: 'Running containers on the selected hosts.',
          unit: 'none',
          queries: { running: `sum(tidewatch_containers${selector('state="running"')})` },
        }),
        stat({
          title: 'Hosts without tidewatch',
          description: 'Hosts whose daemon cannot be scraped; they may be unmonitored.',
          unit: 'none',
          queries: { down: `count(up${selector()} == 0) or vector(0)` },
          badFrom: 1,
        }),
        stat({
          title: 'Sources down',
          description: 'Sources that are not attached; their events are not observed.',
          unit: 'none',
          queries: { down: `count(tidewatch_source_up${selector()} == 0) or vector(0)` },
          badFrom: 1,
        }),
      ],
      Findings: [
        bars({
          title: 'Findings by severity',
          description: 'Number of findings per interval, by severity.',
          unit: 'none',
          queries: {
            '{{severity}}': `sum by (severity) (increase(tidewatch_findings_total${selector()}[$__rate_interval]))`,
          },
          badFrom: 1,
          width: 12,
        }).overrides(severityColors),
        bars({
          title: 'Findings by rule',
          description: 'Number of findings per interval, for the ten rules with the most findings.',
          unit: 'none',
          queries: {
            '{{rule}}': `topk(10, sum by (rule) (increase(tidewatch_findings_total${selector()}[$__rate_interval])))`,
          },
          warnFrom: 1,
          width: 12,
        }),
        table(
          {
            title: 'Active conditions',
            description: 'Currently firing conditions by container. Empty when nothing fires.',
            unit: 'none',
            queries: { '': `tidewatch_findings_active${selector()} > 0` },
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
            title: 'Latest findings',
            description:
              'Time of the latest finding of each rule and container, newest first; covers at least the last hour. Details: tidewatch findings.',
            unit: 'dateTimeFromNow',
            queries: {
              '': `sort_desc(topk(50, tidewatch_finding_last_timestamp_seconds${selector()})) * 1000`,
            },
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
            title: 'Containers nearest to their limits',
            description:
              'Used share of the memory and process limits; for CPU, the share of throttled periods. Requires the recording rules shipped with tidewatch.',
            unit: 'percentunit',
            queries: { '': `sort_desc(topk(15, ${limitUse}${selector()}))` },
            warnFrom: 0.8,
            badFrom: 0.9,
            width: 12,
          },
          { container: 'Container', resource: 'Resource', Value: 'Used', instance: 'Host' },
        ).overrideByName('Used', barCell),
        bars({
          title: 'Execs',
          description: 'Execs through the Docker API by kind. Health checks are counted but not reported.',
          unit: 'none',
          queries: {
            '{{kind}}': `sum by (kind) (increase(tidewatch_execs_total${selector()}[$__rate_interval]))`,
          },
          warnFrom: 100,
          width: 12,
        }),
        bars({
          title: 'OOM kills, restarts, refused forks',
          description: 'Effects of resource limits on containers.',
          unit: 'none',
          queries: {
            'OOM kills': `sum(increase(tidewatch_container_oom_kills_total${selector()}[$__rate_interval]))`,
            restarts: `sum(increase(tidewatch_container_restarts_total${selector()}[$__rate_interval]))`,
            'refused forks': `sum(increase(tidewatch_container_forks_refused_total${selector()}[$__rate_interval]))`,
          },
          warnFrom: 1,
          width: 12,
        }),
        stat({
          title: 'Containers without a limit',
          description: 'Running containers that can exhaust a resource of the host.',
          unit: 'none',
          queries: { '{{resource}}': `sum by (resource) (tidewatch_container_limit_missing${selector()})` },
          warnFrom: 1,
          width: 12,
          height: 8,
        }),
      ],
      Sources: [
        timeline({
          title: 'Sources',
          description: 'When each source was attached.',
          unit: 'bool_on_off',
          queries: { '{{source}} on {{instance}}': `tidewatch_source_up${selector()}` },
          width: 12,
        }).mappings(upOrDown),
        table(
          {
            title: 'Modes',
            description:
              'Current mode of each source; eBPF and fanotify have the best coverage. The status page shows why a better mode is unavailable.',
            unit: 'none',
            queries: { '': `tidewatch_source_mode${selector()} == 1` },
            width: 6,
          },
          { source: 'Source', mode: 'Mode', instance: 'Host' },
        ),
        bars({
          title: 'Events lost',
          description: 'Events that a source missed or dropped. Investigate any value above zero.',
          unit: 'none',
          queries: { '{{source}}': lostBySource },
          badFrom: 1,
          width: 6,
        }),
      ],
    },
  })

function foundInRange(severity: string): string {
  return `round(sum(increase(tidewatch_findings_total${selector(`severity="${severity}"`)}[$__range])))`
}
