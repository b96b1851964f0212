import { setImmediate } from 'node:timers/promises'
import {
  Counter,
  Gauge,
  Histogram,
  type LabelValues,
  type OpenMetricsContentType,
  Registry,
} from 'prom-client'

/**
 * The same metrics in both of Prometheus' formats. prom-client fixes the format of a registry when it is created,
 * but a metric may be registered in several registries.
 */
export type Registries = {
  text: Registry
  openMetrics: Registry<OpenMetricsContentType>
}

// How long a scrape may block the event stream. A metric is rendered in one piece, so one with many series takes
// longer.
const sliceMs = 5

/**
 * Renders one of the registries metric by metric and yields to the event loop in between; the library's own
 * `metrics()` renders everything at once. OpenMetrics wants a counter's name without `_total`; the library adds the
 * suffix to the series itself (`getMetricsAsString` in its registry.js).
 */
export async function render({ text, openMetrics }: Registries, asOpenMetrics: boolean): Promise<string> {
  const registry = asOpenMetrics ? openMetrics : text
  const parts: string[] = []
  let startedAt = performance.now()
  for (const metric of registry.getMetricsAsArray()) {
    const { name } = metric
    const isCounter = metric.type === 'counter'
    if (asOpenMetrics && isCounter) metric.name = name.replace(/_total$/, '')
    // The library reads the name before its first await, so that a concurrent scrape never sees the changed name.
    const rendered = registry.getSingleMetricAsString(name)
    metric.name = name
    parts.push(await rendered)
    if (performance.now() - startedAt < sliceMs) continue
    await setImmediate()
    startedAt = performance.now()
  }
  return asOpenMetrics ? `${parts.join('\n')}\n# EOF\n` : `${parts.join('\n\n')}\n`
}

/** Separate registries: prom-client's global one is shared by everything in the process. */
export function createRegistries(): Registries {
  const openMetrics = new Registry<OpenMetricsContentType>()
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  return { text: new Registry(), openMetrics }
}

/** Factories for metrics that are registered in both registries. */
export function createInstruments({ text, openMetrics }: Registries) {
  const registers = [text, openMetrics as unknown as Registry]
  return {
    counter: <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name, help, labelNames, registers }),

    /** A counter whose increments carry an OpenMetrics exemplar, such as the finding that was counted. */
    counterWithExemplars: <L extends string>(name: string, help: string, labelNames: readonly L[]) => {
      // The library accepts exemplars only with an OpenMetrics registry. It omits them from the text format.
      const only = [openMetrics as unknown as Registry]
      const counter = new Counter<L>({ name, help, labelNames, registers: only, enableExemplars: true })
      text.registerMetric(counter)
      function count(labels: Record<L, string>, value: number, exemplar?: Record<string, string>): void {
        // The library's types confuse an exemplar's labels with those of the metric.
        counter.inc({
          labels: labels as LabelValues<L>,
          value,
          ...(exemplar === undefined ? {} : { exemplarLabels: exemplar as never }),
        })
      }
      return { count, get: () => counter.get() }
    },

    gauge: <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Gauge<L>({ name, help, labelNames, registers }),

    histogram: <L extends string>(name: string, help: string, labelNames: readonly L[], buckets: number[]) =>
      new Histogram<L>({ name, help, labelNames, buckets, registers }),

    /** A gauge for state that is stored elsewhere. It is recomputed at every scrape, so that no stale series remain. */
    mirror: <L extends string = never>(
      name: string,
      help: string,
      labelNames: readonly L[],
      series: () => Iterable<Series<L>>,
    ) =>
      new Gauge<L>({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of series()) this.set(labels as LabelValues<L>, value)
        },
      }),

    /** The same for a total that is counted elsewhere: by the kernel, the engine or another component. */
    mirrorTotal: <L extends string = never>(
      name: string,
      help: string,
      labelNames: readonly L[],
      series: () => Iterable<Series<L>>,
    ) =>
      new Counter<L>({
        name,
        help,
        labelNames,
        registers,
        collect() {
          this.reset()
          for (const [labels, value] of series()) this.inc(labels as LabelValues<L>, value)
        },
      }),
  }
}

/** One time series: its labels and current value. */
export type Series<L extends string> = readonly [Record<L, string>, number]

export type Instruments = ReturnType<typeof createInstruments>

/** The sum of a counter's values, optionally only of those with the given label value. */
export function sumOf(values: readonly Value[], label?: string, wanted?: string): number {
  return values
    .filter(({ labels }) => label === undefined || (labels as Record<string, unknown>)[label] === wanted)
    .reduce((sum, { value }) => sum + value, 0)
}

type Value = { value: number; labels: object }
