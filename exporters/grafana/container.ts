import { dashboard } from './frame.ts'
import { bars, happenedOrNot, lines, selector, stat, table, timeline } from './panels.ts'

const one = selector('container=~"$container"')
const found = (detector: string) => selector('container=~"$container"', `detector${detector}`)

/** One container: usage and limits, throttling, pressure, execs, findings. */
export const container = () =>
  dashboard({
    uid: 'tidewatch-container',
    title: 'tidewatch / Container',
    description: 'One container: usage and limits, throttling, pressure, execs and findings.',
    ofContainer: true,
    rows: {
      Now: [
        stat({
          title: 'Memory used',
          description: 'Working set as a share of the memory limit; empty without a limit.',
          unit: 'percentunit',
          queries: {
            memory: `max(tidewatch_container_memory_working_set_bytes${one} / (tidewatch_container_memory_limit_bytes${one} > 0))`,
          },
          warnFrom: 0.8,
          badFrom: 0.9,
        }),
        stat({
          title: 'Processes used',
          description: 'Processes and threads as a share of their limit; empty without a limit.',
          unit: 'percentunit',
          queries: {
            pids: `max(tidewatch_container_pids${one} / (tidewatch_container_pids_limit${one} > 0))`,
          },
          warnFrom: 0.8,
          badFrom: 0.9,
        }),
        stat({
          title: 'Firing now',
          description: 'Conditions currently firing for this container.',
          unit: 'none',
          queries: { conditions: `sum(tidewatch_findings_active${one}) or vector(0)` },
          warnFrom: 1,
        }),
        stat({
          title: 'Restarts',
          description: 'Restarts by the restart policy in the selected time range.',
          unit: 'none',
          queries: { restarts: `sum(increase(tidewatch_container_restarts_total${one}[$__range]))` },
          warnFrom: 1,
          badFrom: 3,
        }),
        table(
          {
            title: 'Container details',
            description: 'Current image and ID, Compose project and service, and host.',
            unit: 'none',
            queries: { '': `tidewatch_container_info${one}` },
            width: 8,
            height: 4,
          },
          {
            container_id: 'ID',
            image: 'Image',
            compose_project: 'Compose project',
            compose_service: 'Service',
            instance: 'Host',
          },
        ),
      ],
      'Limits and usage': [
        lines({
          title: 'Memory',
          description:
            'Working set: memory that cannot be reclaimed immediately. At the limit the OOM killer kills a process.',
          unit: 'bytes',
          queries: {
            'working set': `sum(tidewatch_container_memory_working_set_bytes${one})`,
            limit: `max(tidewatch_container_memory_limit_bytes${one})`,
            swap: `sum(tidewatch_container_memory_swap_bytes${one})`,
          },
        }),
        lines({
          title: 'CPU',
          description: 'Cores in use.',
          unit: 'none',
          queries: {
            cores: `sum(rate(tidewatch_container_cpu_usage_seconds_total${one}[$__rate_interval]))`,
          },
        }),
        lines({
          title: 'Throttled periods',
          description: 'Share of scheduling periods in which the CPU quota throttled the container.',
          unit: 'percentunit',
          queries: {
            throttled: `sum(rate(tidewatch_container_cpu_throttled_periods_total${one}[$__rate_interval])) / (sum(rate(tidewatch_container_cpu_periods_total${one}[$__rate_interval])) > 0)`,
          },
          warnFrom: 0.1,
          badFrom: 0.25,
        }),
        lines({
          title: 'Throttled time',
          description: 'Seconds per second for which the CPU quota throttled its processes.',
          unit: 's',
          queries: {
            throttled: `sum(rate(tidewatch_container_cpu_throttled_seconds_total${one}[$__rate_interval]))`,
          },
          warnFrom: 0.1,
          badFrom: 0.5,
        }),
        lines({
          title: 'Processes and threads',
          description: 'At the limit, every fork fails.',
          unit: 'none',
          queries: {
            processes: `sum(tidewatch_container_pids${one})`,
            limit: `max(tidewatch_container_pids_limit${one})`,
          },
        }),
        bars({
          title: 'OOM kills and refused forks',
          description: 'Processes killed by the OOM killer, and forks refused at the process limit.',
          unit: 'none',
          queries: {
            'OOM kills': `sum(increase(tidewatch_container_oom_kills_total${one}[$__rate_interval]))`,
            'refused forks': `sum(increase(tidewatch_container_forks_refused_total${one}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
        lines({
          title: 'Pressure',
          description:
            'Share of time for which some or all (full) processes waited for the resource. Requires a kernel with PSI.',
          unit: 'percentunit',
          queries: {
            '{{resource}} {{kind}}': `sum by (resource, kind) (rate(tidewatch_container_pressure_stall_seconds_total${one}[$__rate_interval]))`,
          },
          warnFrom: 0.1,
          badFrom: 0.2,
        }),
        lines({
          title: 'Block I/O',
          description: 'Bytes read from and written to block devices.',
          unit: 'Bps',
          queries: {
            read: `sum(rate(tidewatch_container_disk_read_bytes_total${one}[$__rate_interval]))`,
            written: `sum(rate(tidewatch_container_disk_written_bytes_total${one}[$__rate_interval]))`,
          },
        }),
      ],
      'Execs and findings': [
        timeline({
          title: 'Execs and other entries',
          description: 'Execs, entries without the Docker API and file copies, by rule.',
          unit: 'none',
          queries: { '{{rule}}': happened('="exec-into-container"') },
          warnFrom: 1,
        }).mappings(happenedOrNot),
        timeline({
          title: 'Other findings',
          description: 'Findings of all other rules for this container.',
          unit: 'none',
          queries: { '{{rule}}': happened('!="exec-into-container"') },
          warnFrom: 1,
        }).mappings(happenedOrNot),
        table(
          {
            title: 'Latest findings',
            description:
              'Time of the latest finding of each rule for this container. Details: tidewatch findings --container.',
            unit: 'dateTimeFromNow',
            queries: { '': `sort_desc(tidewatch_finding_last_timestamp_seconds${one}) * 1000` },
            warnFrom: 0,
            width: 24,
          },
          { Value: 'When', severity: 'Severity', rule: 'Rule', detector: 'Detector', instance: 'Host' },
        ),
      ],
    },
  })

// Uses the timestamp of the last finding: increase() misses the first sample of a new series.
function happened(detector: string): string {
  return `max by (rule) (time() - tidewatch_finding_last_timestamp_seconds${found(detector)} < bool 60)`
}
