import { dashboard } from './frame.ts'
import { bars, lines, lostBySource, of, stat, table, timeline, upOrDown } from './parts.ts'

/** The daemon: whether it sees everything, how fast it tells, whether anybody hears it, and what it costs. */
export const tidewatchItself = () =>
  dashboard({
    uid: 'tidewatch-itself',
    title: 'tidewatch / tidewatch itself',
    description: 'Whether the monitor sees, tells and is heard, and what that costs.',
    rows: {
      Now: [
        stat({
          title: 'Up',
          description: 'Daemons that Prometheus can scrape.',
          unit: 'none',
          queries: { up: `count(up${of()} == 1) or vector(0)` },
        }),
        stat({
          title: 'Starts',
          description: 'Times a daemon was started again in the time that is shown.',
          unit: 'none',
          queries: { starts: `sum(changes(process_start_time_seconds${of()}[$__range]))` },
          warnFrom: 3,
        }),
        stat({
          title: 'Findings that wait',
          description: 'Findings that a receiver has not got yet.',
          unit: 'none',
          queries: { waiting: `sum(tidewatch_notification_queue_length${of()}) or vector(0)` },
          warnFrom: 10,
          badFrom: 100,
        }),
        stat({
          title: 'Store',
          description: 'Whether findings are stored on disk by every daemon; down: in memory only.',
          unit: 'none',
          queries: { store: `min(tidewatch_store_up${of()})` },
        }).mappings(upOrDown),
        stat({
          title: 'Configuration',
          description:
            'Whether every daemon runs with the configuration that is on its disk; down: the new one is wrong.',
          unit: 'none',
          queries: { configuration: `min(tidewatch_config_last_reload_successful${of()})` },
        }).mappings(upOrDown),
        stat({
          title: 'Configuration loaded',
          description: 'When the oldest configuration in use was loaded.',
          unit: 'dateTimeFromNow',
          queries: { loaded: `min(tidewatch_config_last_reload_success_timestamp_seconds${of()}) * 1000` },
        }),
      ],
      'What it sees': [
        timeline({
          title: 'Sources',
          description: 'Which sources were attached, and when not.',
          unit: 'bool_on_off',
          queries: { '{{source}} on {{instance}}': `tidewatch_source_up${of()}` },
        }).mappings(upOrDown),
        lines({
          title: 'Events',
          description: 'What the sources saw, in each second.',
          unit: 'cps',
          queries: {
            '{{source}}': `sum by (source) (rate(tidewatch_source_events_total${of()}[$__rate_interval]))`,
          },
          warnFrom: 20_000,
        }),
        bars({
          title: 'Events lost',
          description: 'What a source could not see or keep.',
          unit: 'none',
          queries: { '{{source}}': lostBySource },
          badFrom: 1,
        }),
        bars({
          title: 'Gaps in the engine’s events',
          description: 'Times when the engine had forgotten events before they were read.',
          unit: 'none',
          queries: {
            '{{instance}}': `sum by (instance) (increase(tidewatch_docker_event_gaps_total${of()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
        lines({
          title: 'Time since the last event',
          description: 'How long ago each source last saw something; a quiet host is quiet.',
          unit: 's',
          queries: {
            '{{source}}': `max by (source) (time() - tidewatch_source_last_event_timestamp_seconds${of()})`,
          },
          warnFrom: 3_600,
        }),
        table(
          {
            title: 'Learned programs of root',
            description: 'Images whose programs of root are known, or still being learned.',
            unit: 'none',
            queries: { '': `tidewatch_profile_state${of()} == 1` },
          },
          { image: 'Image', state: 'State', instance: 'Host' },
        ),
      ],
      'What it tells': [
        lines({
          title: 'From event to finding',
          description:
            'How long it took from what happened to the finding: the median and the slowest hundredth.',
          unit: 's',
          queries: {
            median: latency(0.5),
            '99th percentile': latency(0.99),
          },
          warnFrom: 0.5,
          badFrom: 1,
        }),
        bars({
          title: 'Detectors that failed',
          description: 'Times a detector failed and was started again.',
          unit: 'none',
          queries: {
            '{{detector}}': `sum by (detector) (increase(tidewatch_detector_errors_total${of()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
        bars({
          title: 'Notifications',
          description: 'What became of sending findings: delivered, failed (tried again), rejected, expired.',
          unit: 'none',
          queries: {
            '{{receiver}} {{outcome}}': `sum by (receiver, outcome) (increase(tidewatch_notifications_total${of()}[$__rate_interval]))`,
          },
          warnFrom: 100,
        }),
        lines({
          title: 'Findings that wait',
          description: 'Findings that the receiver has not got yet.',
          unit: 'none',
          queries: { '{{receiver}}': `sum by (receiver) (tidewatch_notification_queue_length${of()})` },
          warnFrom: 10,
          badFrom: 100,
        }),
        bars({
          title: 'Findings and log lines lost',
          description: 'Findings that could not be stored, and log lines that nobody read fast enough.',
          unit: 'none',
          queries: {
            findings: `sum(increase(tidewatch_store_findings_lost_total${of()}[$__rate_interval]))`,
            'log lines': `sum(increase(tidewatch_log_lines_lost_total${of()}[$__rate_interval]))`,
          },
          badFrom: 1,
        }),
      ],
      'What it costs': [
        lines({
          title: 'CPU',
          description: 'Cores that the daemon uses.',
          unit: 'none',
          queries: { '{{instance}}': `rate(process_cpu_seconds_total${of()}[$__rate_interval])` },
          warnFrom: 0.5,
        }),
        lines({
          title: 'Memory',
          description: 'Resident memory of the daemon.',
          unit: 'bytes',
          queries: { '{{instance}}': `process_resident_memory_bytes${of()}` },
          warnFrom: 268_435_456,
        }),
        lines({
          title: 'Open files',
          description: 'File descriptors of the daemon; it keeps the cgroup files of every container open.',
          unit: 'none',
          queries: { '{{instance}}': `process_open_fds${of()}` },
        }),
        lines({
          title: 'Scrape',
          description: 'How long a scrape took.',
          unit: 's',
          queries: { '{{instance}}': `scrape_duration_seconds${of()}` },
          warnFrom: 0.1,
          badFrom: 1,
        }),
        lines({
          title: 'Series',
          description: 'How many series a scrape got.',
          unit: 'none',
          queries: { '{{instance}}': `scrape_samples_scraped${of()}` },
          warnFrom: 5_000,
          badFrom: 20_000,
        }),
        table(
          {
            title: 'Versions',
            description: 'What runs on which host.',
            unit: 'none',
            queries: { '': `tidewatch_build_info${of()}` },
          },
          { instance: 'Host', version: 'tidewatch', node_version: 'Node.js' },
        ),
      ],
    },
  })

function latency(quantile: number): string {
  return `histogram_quantile(${quantile}, sum by (le) (rate(tidewatch_detection_latency_seconds_bucket${of()}[$__rate_interval])))`
}
