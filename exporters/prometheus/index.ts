import type { Publication } from '../../agent/findings/publication.ts'
import type { Observation } from '../../agent/model/observation.ts'
import { type ContainerMetricsOptions, createContainerMetrics } from './container-metrics.ts'
import { createDaemonMetrics, type DaemonMetricsOptions } from './daemon-metrics.ts'
import { createFindingMetrics, type FindingMetricsOptions } from './finding-metrics.ts'
import { createInstruments, createRegistries, render } from './instruments.ts'
import { createMaskMetrics } from './mask-metrics.ts'
import { createProfileMetrics, type ProfileMetricsOptions } from './profile-metrics.ts'
import { createPolicyMetrics, type PolicyMetricsOptions } from './policy-metrics.ts'
import { createRuntimeFileMetrics } from './runtime-file-metrics.ts'
import { createVulnerabilityMetrics, type VulnerabilityMetricsOptions } from './vulnerability-metrics.ts'

export type MetricsOptions = DaemonMetricsOptions &
  ContainerMetricsOptions &
  ProfileMetricsOptions &
  PolicyMetricsOptions &
  VulnerabilityMetricsOptions &
  Omit<FindingMetricsOptions, 'nameOf'>

/** What a scrape gets: the body, and the content type that says which format it is in. */
export type Exposition = { contentType: string; body: string }

// What the instances hold and the library's types leave out.
type Described = { name: string; help: string; labelNames?: readonly string[] }

export type Metrics = ReturnType<typeof createMetrics>

/** All of tidewatch's metrics (shared names: README, Metrics), fed by what is observed and published. */
export function createMetrics(options: MetricsOptions) {
  const registries = createRegistries()
  const make = createInstruments(registries)
  const nameOf = (id: string) => options.containers.get(id)?.name
  const daemon = createDaemonMetrics(make, options)
  const findings = createFindingMetrics(make, { ...options, nameOf })
  const perContainer = createContainerMetrics(make, options)
  const runtimeFiles = createRuntimeFileMetrics(make)
  const masks = createMaskMetrics(make)
  const vulnerabilities = createVulnerabilityMetrics(make, options)
  createProfileMetrics(make, options)
  createPolicyMetrics(make, options)

  return {
    ...daemon,
    observed(observation: Observation): void {
      daemon.observed(observation)
      perContainer.observed(observation)
      runtimeFiles.observed(observation)
      masks.observed(observation)
      vulnerabilities.observed(observation)
    },
    published(publication: Publication): void {
      findings.published(publication)
    },
    /** What is counted, summed up for people. */
    counters: async () => ({ findings: await findings.bySeverity(), ...(await daemon.totals()) }),
    suppressed: findings.suppressed,
    /** After a reload there may be rules and receivers that begin at 0. */
    configurationChanged(): void {
      findings.configurationChanged()
      daemon.receiversChanged()
    },
    /** Every metric there is, for documentation and tests. */
    describe: () =>
      registries.text.getMetricsAsArray().map(({ name, help, labelNames = [] }: Described) => ({
        name,
        help,
        labels: labelNames,
      })),
    /** Renders for a scrape, in OpenMetrics where the scraper's Accept header asks for it. */
    async expose(accept: string): Promise<Exposition> {
      perContainer.beginScrape()
      const asOpenMetrics = accept.includes('application/openmetrics-text')
      const { contentType } = asOpenMetrics ? registries.openMetrics : registries.text
      return { contentType, body: await render(registries, asOpenMetrics) }
    },
  }
}
