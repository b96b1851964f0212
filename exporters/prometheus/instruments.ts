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
 * The same metrics in both of Prometheus' formats: prom-client fixes a registry's format when it is made,
 * and a metric may stand in several registries.
 */
export type Registries = {
  text: Registry
  openMetrics: Registry<OpenMetricsContentType>
}

// As long as the event stream may wait for a scrape; a metric is not divided, so one with many series takes longer.
const sliceMs = 5

/**
 * Renders one of the registries, metric by metric, and lets others have their turn in between: the library's own
 * `metrics()` renders all of it in one go. OpenMetrics wants a counter's name without `_total`, which the library
 * adds to its series again (`getMetricsAsString` of its registry.js).
 */
export async function render({ text, openMetrics }: Registries, asOpenMetrics: boolean): Promise<string> {
  const registry = asOpenMetrics ? openMetrics : text
  const parts: string[] = []
  let startedAt = performance.now()
  for (const metric of registry.getMetricsAsArray()) {
    const { name } = metric
    const isCounter = metric.type === 'counter'
    if (asOpenMetrics && isCounter) metric.name = name.replace(/_total$/, '')
    // The name is read before the first wait, so that another scrape does not meet it.
    const rendered = registry.getSingleMetricAsString(name)
    metric.name = name
    parts.push(await rendered)
    if (performance.now() - startedAt < sliceMs) continue
    await setImmediate()
    startedAt = performance.now()
  }
  return asOpenMetrics ? `${parts.join('\n')}\n# EOF\n` : `${parts.join('\n\n')}\n`
}

/** Registries of our own: prom-client's global one would be shared with whatever else is in the process. */
export function createRegistries(): Registries {
  const openMetrics = new Registry<OpenMetricsContentType>()
  openMetrics.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  return { text: new Registry(), openMetrics }
}

/** Makes metrics that stand in both registries. */
export function createInstruments({ text, openMetrics }: Registries) {
  const registers = [text, openMetrics as unknown as Registry]
  return {
    counter: <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []) =>
      new Counter<L>({ name, help, labelNames, registers }),

    /** A counter whose increments name what was counted, in the exemplars of OpenMetrics. */
    counterWithExemplars: <L extends string>(name: string, help: string, labelNames: readonly L[]) => {
      // The library takes exemplars for an OpenMetrics registry only, and leaves them out where it renders text.
      const only = [openMetrics as unknown as Registry]
      const counter = new Counter<L>({ name, help, labelNames, registers: only, enableExemplars: true })
      text.registerMetric(counter)
      function count(labels: Record<L, string>, value: number, exemplar?: Record<string, string>): void {
        // Its types take an exemplar's labels for the metric's own.
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

    /** A gauge that shows state kept elsewhere: filled anew for every scrape, so that nothing lingers. */
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

    /** The same for a total that somebody else counts: the kernel, the engine. */
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

/** One time series: its labels and its value now. */
export type Series<L extends string> = readonly [Record<L, string>, number]

export type Instruments = ReturnType<typeof createInstruments>

/** The sum of a counter's values; of those alone whose label is so, where one is given. */
export function sumOf(values: readonly Value[], label?: string, wanted?: string): number {
  return values
    .filter(({ labels }) => label === undefined || (labels as Record<string, unknown>)[label] === wanted)
    .reduce((sum, { value }) => sum + value, 0)
}

type Value = { value: number; labels: object }
