import { dashboard } from './frame.ts'
import { bars, lines, lostBySource, selector, stat, table, timeline, upOrDown } from './panels.ts'

/** The daemon itself: source health, detection latency, delivery, and resource usage. */
export const tidewatchItself = () =>
  dashboard({
    uid: 'tidewatch-itself',
    title: 'tidewatch / tidewatch itself',
    description: 'Health of the monitor: sources, detection latency, delivery and resource usage.',
    rows: {
      Now: [
        stat({
          title: 'Up',
          description: 'Daemons that Prometheus scrapes successfully.',
          unit: 'none',
          queries: { up: `count(up${selector()} == 1) or vector(0)` },
        }),
        stat({
          title: 'Restarts',
          description: 'Daemon restarts in the selected time range.',
          unit: 'none',
          queries: { restarts: `sum(changes(process_start_time_seconds${selector()}[$__range]))` },
          warnFrom: 3,
        }),
        stat({
          title: 'Queued findings',
          description: 'Findings queued for delivery to any receiver.',
          unit: 'none',
          queries: { waiting: `sum(tidewatch_notification_queue_length${selector()}) or vector(0)` },
          warnFrom: 10,
          badFrom: 100,
        }),
        stat({
          title: 'Store',
          description:
            'Up if every daemon stores its findings on disk; down if one stores them only in memory.',
          unit: 'none',
          queries: { store: `min(tidewatch_store_up${selector()})` },
        }).mappings(upOrDown),
        stat({
          title: 'Configuration',
          description:
            'Up if every daemon loaded its configuration successfully; down if one failed and still uses the previous one.',
          unit: 'none',
          queries: { configuration: `min(tidewatch_config_last_reload_successful${selector()})` },
        }).mappings(upOrDown),
        stat({
          title: 'Configuration loaded',
          description: 'Load time of the oldest configuration in use.',
          unit: 'dateTimeFromNow',
          queries: {
            loaded: `min(tidewatch_config_last_reload_success_timestamp_seconds${selector()}) * 1000`,
          },
        }),
      ],
      Sources: [
        timeline({
          title: 'Sources',
          description: 'When each source was attached.',
          unit: 'bool_on_off',
          queries: { '{{source}} on {{instance}}': `tidewatch_source_up${selector()}` },
        }).mappings(upOrDown),
        lines({
          title: 'Events',
          description: 'Events per second by source.',
          unit: 'cps',
          queries: {
            '{{source}}': `sum by (source) (rate(tidewatch_source_events_total${selector()}[$__rate_interval]))`,
          },
          warnFrom: 20_000,
        }),
        bars({
          title: 'Events lost',
          description: 'Events that a source missed or dropped.',
          unit: 'none',
          queries: { '{{source}}': lostBySource },
          badFrom: 1,
        }),
        bars({
          title: 'Gaps in the Docker event stream',
          description: 'Times when the engine discarded events before tidewatch read them.',
          unit: 'none',
          queries: {
            '{{instance}}': `sum by (instance) (increase(tidewatch_docker_event_gaps_total${selector()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
        lines({
          title: 'Time since the last event',
          description: 'Time since the last event of each source; long times are normal on an idle host.',
          unit: 's',
          queries: {
            '{{source}}': `max by (source) (time() - tidewatch_source_last_event_timestamp_seconds${selector()})`,
          },
          warnFrom: 3_600,
        }),
        table(
          {
            title: 'Profiles of root programs',
            description: 'Images and the state of their profile of root programs: learning or learned.',
            unit: 'none',
            queries: { '': `tidewatch_profile_state${selector()} == 1` },
          },
          { image: 'Image', state: 'State', instance: 'Host' },
        ),
      ],
      'Detection and delivery': [
        lines({
          title: 'Detection latency',
          description: 'Time from the event to the finding: median and 99th percentile.',
          unit: 's',
          queries: {
            median: latency(0.5),
            '99th percentile': latency(0.99),
          },
          warnFrom: 0.5,
          badFrom: 1,
        }),
        bars({
          title: 'Detector failures',
          description: 'Times a detector failed and was restarted.',
          unit: 'none',
          queries: {
            '{{detector}}': `sum by (detector) (increase(tidewatch_detector_errors_total${selector()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
        bars({
          title: 'Notifications',
          description:
            'Notification attempts by outcome: delivered, failed (will be retried), rejected, expired.',
          unit: 'none',
          queries: {
            '{{receiver}} {{outcome}}': `sum by (receiver, outcome) (increase(tidewatch_notifications_total${selector()}[$__rate_interval]))`,
          },
          warnFrom: 100,
        }),
        lines({
          title: 'Queued findings',
          description: 'Findings queued for delivery, by receiver.',
          unit: 'none',
          queries: { '{{receiver}}': `sum by (receiver) (tidewatch_notification_queue_length${selector()})` },
          warnFrom: 10,
          badFrom: 100,
        }),
        lines({
          title: 'Clock skew',
          description:
            'Difference between the clocks of the daemon and of each receiver; from 30 s on, the times of alerts are corrected.',
          unit: 's',
          queries: {
            '{{receiver}} on {{instance}}': `abs(tidewatch_receiver_clock_skew_seconds${selector()})`,
          },
          warnFrom: 30,
        }),
        bars({
          title: 'Lost findings and log lines',
          description:
            'Findings that could not be stored, and log lines dropped because the log reader was too slow.',
          unit: 'none',
          queries: {
            findings: `sum(increase(tidewatch_store_findings_lost_total${selector()}[$__rate_interval]))`,
            'log lines': `sum(increase(tidewatch_log_lines_lost_total${selector()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
      ],
      'Resource usage': [
        lines({
          title: 'CPU',
          description: 'CPU cores used by the daemon.',
          unit: 'none',
          queries: { '{{instance}}': `rate(process_cpu_seconds_total${selector()}[$__rate_interval])` },
          warnFrom: 0.5,
        }),
        lines({
          title: 'Memory',
          description: 'Resident memory of the daemon.',
          unit: 'bytes',
          queries: { '{{instance}}': `process_resident_memory_bytes${selector()}` },
          warnFrom: 268_435_456,
        }),
        lines({
          title: 'Open files',
          description:
            'Open file descriptors of the daemon; it keeps the cgroup files of every container open.',
          unit: 'none',
          queries: { '{{instance}}': `process_open_fds${selector()}` },
        }),
        lines({
          title: 'Scrape duration',
          description: 'Duration of a scrape.',
          unit: 's',
          queries: { '{{instance}}': `scrape_duration_seconds${selector()}` },
          warnFrom: 0.1,
          badFrom: 1,
        }),
        lines({
          title: 'Series',
          description: 'Number of series per scrape.',
          unit: 'none',
          queries: { '{{instance}}': `scrape_samples_scraped${selector()}` },
          warnFrom: 5_000,
          badFrom: 20_000,
        }),
        table(
          {
            title: 'Versions',
            description: 'Versions of tidewatch and Node.js by host.',
            unit: 'none',
            queries: { '': `tidewatch_build_info${selector()}` },
          },
          { instance: 'Host', version: 'tidewatch', node_version: 'Node.js' },
        ),
      ],
    },
  })

function latency(quantile: number): string {
  return `histogram_quantile(${quantile}, sum by (le) (rate(tidewatch_detection_latency_seconds_bucket${selector()}[$__rate_interval])))`
}
