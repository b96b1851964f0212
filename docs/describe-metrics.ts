import { configuration } from '../agent/daemon/configuration.ts'
import { detectorConfig } from '../agent/config/schema.ts'
import { detectors } from '../detectors/index.ts'
import { createMetrics } from '../exporters/prometheus/index.ts'
import { judgeVersions } from '../detectors/runtime-path-write/vulnerable.ts'

/** Every metric of a daemon that has seen nothing. */
export function describeMetrics() {
  const config = configuration.defaults()
  return createMetrics({
    judgeVersions,
    version: '',
    sources: [],
    statuses: () => [],
    detectors,
    configOf: (name) => detectorConfig(config, name),
    firing: () => [],
    containers: { get: () => undefined, all: () => [], running: () => [] },
    receivers: [],
    notificationQueueLength: () => 0,
    maxSeries: 10_000,
    storesMovedAside: () => 0,
    storeFindingsLost: () => 0,
    logLinesLost: () => 0,
    storeMode: () => 'file',
    allowEntries: () => [],
    profiles: () => [],
    now: () => 0,
  }).describe()
}
