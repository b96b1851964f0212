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

/** The response to a scrape: the body, and the content type that identifies its format. */
export type Exposition = { contentType: string; body: string }

// Properties that the library's instances have and its types omit.
type Described = { name: string; help: string; labelNames?: readonly string[] }

export type Metrics = ReturnType<typeof createMetrics>

/** All metrics of tidewatch (listed in docs/metrics.md), updated from observations and published findings. */
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
      findings.observed(observation)
      perContainer.observed(observation)
      runtimeFiles.observed(observation)
      masks.observed(observation)
      vulnerabilities.observed(observation)
    },
    published(publication: Publication): void {
      findings.published(publication)
    },
    /** Totals for the status page. */
    counters: async () => ({ findings: await findings.bySeverity(), ...(await daemon.totals()) }),
    suppressed: findings.suppressed,
    /** Creates series, starting at 0, for rules and receivers that a reload added. */
    configurationChanged(): void {
      findings.configurationChanged()
      daemon.receiversChanged()
    },
    /** Every metric, for documentation and tests. */
    describe: () =>
      registries.text.getMetricsAsArray().map(({ name, help, labelNames = [] }: Described) => ({
        name,
        help,
        labels: labelNames,
      })),
    /** Renders the metrics for a scrape, as OpenMetrics if the Accept header asks for it. */
    async expose(accept: string): Promise<Exposition> {
      perContainer.beginScrape()
      const asOpenMetrics = accept.includes('application/openmetrics-text')
      const { contentType } = asOpenMetrics ? registries.openMetrics : registries.text
      return { contentType, body: await render(registries, asOpenMetrics) }
    },
  }
}
