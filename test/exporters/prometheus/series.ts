import type { Container } from '../../../agent/model/container.ts'
import type {
  ContainerAction,
  ContainerObservation,
  ResourceSample,
} from '../../../agent/model/observation.ts'
import { createContainerMetrics } from '../../../exporters/prometheus/container-metrics.ts'
import { createFindingMetrics } from '../../../exporters/prometheus/finding-metrics.ts'
import { createInstruments, createRegistries, render } from '../../../exporters/prometheus/instruments.ts'
import { sampleContainer, sampleFinding } from '../../support/samples.ts'

/** The metrics of containers and their findings, for a host whose containers a test starts, renames and removes. */
export function watchedHost({ maxSeries = 10_000 } = {}) {
  const clock = { now: 1_000_000_000 }
  const containers = new Map<string, Container>()
  const registries = createRegistries()
  const make = createInstruments(registries)
  const view = {
    get: (id: string) => containers.get(id),
    all: () => [...containers.values()],
    running: () => [...containers.values()].filter(({ state }) => state === 'running'),
  }
  const perContainer = createContainerMetrics(make, { containers: view, now: () => clock.now, maxSeries })
  const findings = createFindingMetrics(make, {
    detectors: [],
    configOf: () => ({}) as never,
    firing: () => [],
    nameOf: (id) => containers.get(id)?.name,
    now: () => clock.now,
    maxSeries,
  })

  function change(container: Container, action: ContainerAction): void {
    if (action !== 'removed') containers.set(container.id, container)
    const observation: ContainerObservation = {
      kind: 'container',
      time: clock.now,
      action,
      container,
      exitCode: null,
      previousName: null,
    }
    perContainer.observed(observation)
    findings.observed(observation)
    if (action === 'removed') containers.delete(container.id)
  }

  const known = (id: string) => containers.get(id) ?? sampleContainer({ id, name: id })
  return {
    clock,
    containers,
    start: (id: string, name: string, restartCount = 0) =>
      change(
        sampleContainer({ id, name, details: { startedAt: (clock.now += 1_000), restartCount } }),
        'started',
      ),
    end: (id: string) => change({ ...known(id), state: 'exited' }, 'died'),
    remove: (id: string) => change({ ...known(id), state: 'dead' }, 'removed'),
    rename: (id: string, name: string) => change({ ...known(id), name }, 'renamed'),
    sample: (id: string, value: number) => perContainer.observed(sampleAt(known(id), value)),
    find(id: string): void {
      const { name, image } = known(id)
      const container = { id, name, image, image_id: '', compose_project: '', compose_service: '' }
      const last_seen = new Date(clock.now).toISOString()
      findings.published({ change: 'new', finding: sampleFinding({ container, last_seen }), eventKey: null })
    },
    /** The series of all metrics; fails if two have equal labels. */
    async scrape(): Promise<Map<string, number>> {
      perContainer.beginScrape()
      const lines = (await render(registries, false))
        .split('\n')
        .filter((line) => line !== '' && !line.startsWith('#'))
      const series = lines.map((line): [string, number] => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      })
      const byLabels = new Map(series)
      if (byLabels.size !== series.length) throw new Error(`equal labels in\n${lines.join('\n')}`)
      return byLabels
    },
  }
}

/** A sample in which all counters have the same value. */
function sampleAt(container: Container, value: number): ResourceSample {
  const waited = { someSeconds: value, fullSeconds: value }
  return {
    kind: 'resources',
    time: 0,
    container,
    memory: { workingSetBytes: value, limitBytes: null, swapBytes: null, oomKills: value },
    cpu: {
      usageSeconds: value,
      quotaCores: null,
      periods: value,
      throttledPeriods: value,
      throttledSeconds: value,
    },
    pids: { current: value, limit: null, refusedForks: value },
    pressure: { cpu: waited, memory: waited, io: waited },
    blockIo: { readBytes: value, writtenBytes: value },
  }
}
