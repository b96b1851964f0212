/** Values by series, in promtool's notation, one per minute. */
export type Samples = Readonly<Record<string, string>>

/** The expectation for one alert at one time: it fires with these labels and annotations, or stays silent. */
export type AlertCase = {
  name: string
  /** Time since the first sample, as a Prometheus duration. */
  time: string
  series: Samples
  expected: { labels: Readonly<Record<string, string>>; annotations: Readonly<Record<string, string>> } | null
}

/** Combines cases with distinct series into one test of `promtool test rules`, which is much faster. */
export function promtoolTest(cases: readonly AlertCase[]) {
  return {
    interval: '1m',
    name: cases.map(({ name, time, expected }) => `${name} ${expected ? 'fires' : 'silent'} at ${time}`)[0],
    input_series: inputSeries(Object.assign({}, ...cases.map(({ series }) => series)) as Samples),
    alert_rule_test: cases.map(({ name, time, expected }) => ({
      eval_time: time,
      alertname: name,
      exp_alerts:
        expected === null ? [] : [{ exp_labels: expected.labels, exp_annotations: expected.annotations }],
    })),
  }
}

/** Series in promtool's format. */
export function inputSeries(series: Samples): { series: string; values: string }[] {
  return Object.entries(series).map(([name, values]) => ({ series: name, values }))
}

/** Labels in the notation between braces. */
export function at(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')
}
