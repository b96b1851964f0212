/** Series by their text, with the values of promtool's notation, one a minute. */
export type Samples = Readonly<Record<string, string>>

/** What one alert must do at one time: fire with these labels and annotations, or stay silent. */
export type AlertCase = {
  name: string
  /** Since the first sample, as Prometheus writes durations. */
  time: string
  series: Samples
  expected: { labels: Readonly<Record<string, string>>; annotations: Readonly<Record<string, string>> } | null
}

/** Cases whose series do not touch each other, as one test of `promtool test rules`: it is much faster so. */
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

/** Series as promtool reads them. */
export function inputSeries(series: Samples): { series: string; values: string }[] {
  return Object.entries(series).map(([name, values]) => ({ series: name, values }))
}

/** Labels as they stand between braces. */
export function at(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')
}
