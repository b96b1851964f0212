import { configuration } from '../../agent/daemon/configuration.ts'
import { detectorConfig } from '../../agent/config/schema.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { sourceNames } from '../../agent/model/observation.ts'
import { detectors } from '../../detectors/index.ts'
import { createMetrics, type Metrics } from '../../exporters/prometheus/index.ts'
import { judgeVersions } from '../../detectors/runtime-path-write/vulnerable.ts'
import { sampleContainer, sampleExec, sampleFinding } from '../support/samples.ts'

/** The metrics of a daemon that has sampled the given number of containers, with findings in every tenth of them. */
export function busyMetrics(count: number): Metrics {
  const config = configuration.defaults()
  const containers = Array.from({ length: count }, (_, index) =>
    sampleContainer({
      id: index.toString(16).padStart(64, '0'),
      name: `shop-service-${index}-1`,
      image: `registry.test/shop/service-${index % 20}:1.27.${index % 7}`,
      composeProject: 'shop',
      composeService: `service-${index % 20}`,
    }),
  )
  const byId = new Map(containers.map((container) => [container.id, container]))
  const firing: Finding[] = []
  const metrics = createMetrics({
    judgeVersions,
    version: '1.2.3',
    sources: sourceNames,
    statuses: () => [],
    detectors,
    configOf: (name) => detectorConfig(config, name),
    firing: () => firing,
    containers: { get: (id) => byId.get(id), all: () => containers, running: () => containers },
    receivers: ['alertmanager/a', 'alertmanager/b'],
    notificationQueueLength: () => 0,
    allowEntries: () => [],
    storesMovedAside: () => 0,
    storeFindingsLost: () => 0,
    logLinesLost: () => 0,
    maxSeries: 1_000_000,
    storeMode: () => 'file',
    profiles: () => [],
    now: Date.now,
  })
  for (const [index, container] of containers.entries()) {
    metrics.observed({
      kind: 'resources',
      time: Date.now(),
      container,
      memory: { workingSetBytes: 123_456_789 + index, limitBytes: 536_870_912, swapBytes: 0, oomKills: 0 },
      cpu: {
        usageSeconds: 12_345.678 + index,
        quotaCores: 2,
        periods: 4_711,
        throttledPeriods: 42,
        throttledSeconds: 1.25,
      },
      pids: { current: 17, limit: 4_096, refusedForks: 0 },
      pressure: {
        cpu: { someSeconds: 2.5, fullSeconds: 0.5 },
        memory: { someSeconds: 1.5, fullSeconds: 0.5 },
        io: { someSeconds: 3.5, fullSeconds: 2.5 },
      },
      blockIo: { readBytes: 4_096_000, writtenBytes: 512_000 },
    })
    if (index % 10 === 0) publish(metrics, firing, container)
  }
  metrics.observed(sampleExec())
  return metrics
}

function publish(
  metrics: Metrics,
  firing: Finding[],
  { id, name, image }: ReturnType<typeof sampleContainer>,
): void {
  const container = { id, name, image, image_id: '', compose_project: '', compose_service: '' }
  const time = new Date().toISOString()
  for (const rule of ['interactive-shell', 'exec-command']) {
    metrics.published({
      change: 'new',
      eventKey: null,
      finding: sampleFinding({ container, rule, time, last_seen: time }),
    })
  }
  firing.push(sampleFinding({ container, kind: 'condition', rule: 'no-limits', severity: 'info' }))
}
