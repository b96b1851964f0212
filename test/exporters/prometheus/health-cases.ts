import { at, type Samples } from './rule-cases.ts'

type Case = { time: string; series: Samples; labels: Readonly<Record<string, string>> }

const target = { job: 'tidewatch', instance: 'node-7:15736' }
const of = (metric: string, labels: Readonly<Record<string, string>> = {}) =>
  `${metric}{${at({ ...target, ...labels })}}`
const receiver = { receiver: 'alertmanager/a:9093' }

const fires = (time: string, series: Samples, labels: Readonly<Record<string, string>> = {}): Case => ({
  time,
  series,
  labels: { ...target, ...labels },
})
const silent = (time: string, series: Samples): Case => ({ time, series, labels: {} })

/** For each health alert, cases in which it must fire and similar ones in which it must not. */
export const healthCases: Readonly<Record<string, { fires: readonly Case[]; silent: readonly Case[] }>> = {
  TidewatchDown: {
    fires: [fires('7m', { [of('up')]: '1 0x20' })],
    silent: [
      silent('4m', { [of('up')]: '1 0x20' }),
      silent('20m', { [of('up')]: '1x30' }),
      silent('20m', { 'up{job="node",instance="node-7:9100"}': '0x30' }),
    ],
  },
  TidewatchAbsent: {
    fires: [{ time: '12m', series: { 'up{job="node"}': '1x30' }, labels: { job: 'tidewatch' } }],
    silent: [silent('9m', { 'up{job="node"}': '1x30' }), silent('12m', { [of('up')]: '0x30' })],
  },
  TidewatchSourceDown: {
    fires: [
      fires(
        '7m',
        { [of('tidewatch_source_up', { source: 'processes' })]: '1 0x20' },
        { source: 'processes' },
      ),
    ],
    silent: [silent('7m', { [of('tidewatch_source_up', { source: 'processes' })]: '1 0x3 1x20' })],
  },
  TidewatchEventGap: {
    fires: [
      fires('10m', { [of('tidewatch_docker_event_gaps_total')]: '0x5 1x20' }),
      // Started in minute 8 with a gap already: the counter starts at 1.
      fires('10m', {
        [of('tidewatch_docker_event_gaps_total')]: '_x8 1x20',
        [of('process_start_time_seconds')]: '_x8 480x20',
      }),
    ],
    silent: [
      silent('40m', {
        [of('tidewatch_docker_event_gaps_total')]: '1x60',
        [of('process_start_time_seconds')]: '0x60',
      }),
    ],
  },
  TidewatchDetectorFailing: {
    fires: [
      fires(
        '10m',
        { [of('tidewatch_detector_errors_total', { detector: 'exec-into-container' })]: '0x5 1x20' },
        { detector: 'exec-into-container' },
      ),
    ],
    silent: [
      silent('30m', { [of('tidewatch_detector_errors_total', { detector: 'exec-into-container' })]: '3x60' }),
    ],
  },
  TidewatchNotificationsFailing: {
    fires: [
      fires(
        '20m',
        {
          [of('tidewatch_notifications_total', { ...receiver, outcome: 'failed' })]: '0+1x40',
          [of('tidewatch_notification_queue_length', receiver)]: '2x40',
        },
        { ...receiver, outcome: 'failed' },
      ),
    ],
    silent: [
      // Failed once, and the queue is empty again.
      silent('20m', {
        [of('tidewatch_notifications_total', { ...receiver, outcome: 'failed' })]: '0x15 1x20',
        [of('tidewatch_notification_queue_length', receiver)]: '0x40',
      }),
      silent('8m', {
        [of('tidewatch_notifications_total', { ...receiver, outcome: 'failed' })]: '0+1x40',
        [of('tidewatch_notification_queue_length', receiver)]: '2x40',
      }),
    ],
  },
  TidewatchNotificationsLost: {
    fires: [
      fires(
        '10m',
        { [of('tidewatch_notifications_total', { ...receiver, outcome: 'rejected' })]: '0x5 1x20' },
        { ...receiver, outcome: 'rejected' },
      ),
    ],
    silent: [
      silent('10m', {
        [of('tidewatch_notifications_total', { ...receiver, outcome: 'rejected' })]: '0x20',
        [of('tidewatch_notifications_total', { ...receiver, outcome: 'delivered' })]: '0+9x20',
        [of('tidewatch_notifications_total', { ...receiver, outcome: 'failed' })]: '0+9x20',
      }),
    ],
  },
  TidewatchClockSkew: {
    fires: [
      fires('15m', { [of('tidewatch_receiver_clock_skew_seconds', receiver)]: '360x20' }, receiver),
      fires('15m', { [of('tidewatch_receiver_clock_skew_seconds', receiver)]: '-31x20' }, receiver),
    ],
    silent: [
      silent('15m', { [of('tidewatch_receiver_clock_skew_seconds', receiver)]: '-29x20' }),
      silent('15m', { [of('tidewatch_receiver_clock_skew_seconds', receiver)]: '360x8 0x20' }),
    ],
  },
  TidewatchReloadFailed: {
    fires: [fires('8m', { [of('tidewatch_config_last_reload_successful')]: '1 0x20' })],
    silent: [
      silent('4m', { [of('tidewatch_config_last_reload_successful')]: '1 0x20' }),
      silent('8m', { [of('tidewatch_config_last_reload_successful')]: '1x20' }),
    ],
  },
  TidewatchRestarting: {
    fires: [
      fires('30m', {
        [of('process_start_time_seconds')]: '0x5 300x5 600x5 900x30',
        [of('tidewatch_build_info', { version: '1' })]: '1x60',
      }),
    ],
    silent: [
      silent('30m', {
        [of('process_start_time_seconds')]: '0x5 300x40',
        [of('tidewatch_build_info', { version: '1' })]: '1x60',
      }),
      // Restarts of other programs do not count.
      silent('30m', { 'process_start_time_seconds{job="node",instance="b"}': '0x5 300x5 600x5 900x30' }),
    ],
  },
  TidewatchStoreDown: {
    fires: [fires('8m', { [of('tidewatch_store_up')]: '1 0x20' })],
    silent: [silent('8m', { [of('tidewatch_store_up')]: '1 0x3 1x20' })],
  },
  TidewatchFindingsLost: {
    fires: [fires('10m', { [of('tidewatch_store_findings_lost_total')]: '0x5 7x20' })],
    silent: [silent('10m', { [of('tidewatch_store_findings_lost_total')]: '0x20' })],
  },
  TidewatchWatchdog: {
    fires: [{ time: '2m', series: { [of('up')]: '1x20' }, labels: {} }],
    silent: [silent('2m', { [of('up')]: '0x20' }), silent('2m', { 'up{job="node"}': '1x20' })],
  },
}
