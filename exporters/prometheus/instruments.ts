import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from 'prom-client'

/**
 * The same metrics in both of Prometheus' formats: prom-client fixes a registry's format when it is made,
 * and a metric may stand in several registries.
 */
export type Registries = {
  text: Registry
  openMetrics: Registry<OpenMetricsContentType>
}

/**
 * Renders one of the registries. When prom-client renders OpenMetrics it takes `_total` from the name of each
 * counter for good (`standardizeCounterName` in its registry.js), so the text format has to give it back first.
 */
export async function render({ text, openMetrics }: Registries, asOpenMetrics: boolean): Promise<string> {
  if (asOpenMetrics) return await openMetrics.metrics()
  for (const metric of text.getMetricsAsArray()) {
    const isCounter = String(metric.type) === 'counter'
    if (isCounter && !metric.name.endsWith('_total')) metric.name += '_total'
  }
  return await text.metrics()
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
          for (const [labels, value] of series()) this.set(labels, value)
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
          for (const [labels, value] of series()) this.inc(labels, value)
        },
      }),
  }
}

/** One time series: its labels and its value now. */
export type Series<L extends string> = readonly [Record<L, string>, number]

export type Instruments = ReturnType<typeof createInstruments>

/** The sum of some values of a counter. */
export function sumOf(values: readonly { value: number }[]): number {
  return values.reduce((sum, { value }) => sum + value, 0)
}
