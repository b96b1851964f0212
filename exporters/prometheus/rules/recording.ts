import type { RuleGroup } from './rule-file.ts'

/** The record behind the host dashboard's table of containers near their limits: one name for all resources. */
export const limitUse = 'instance_container:tidewatch_container_limit_use:ratio'

const labels = 'job, instance, container, image'

/** Precomputes what every panel and viewer would otherwise compute over all containers of all hosts. */
export function recordingGroups(): RuleGroup[] {
  const ratio = (resource: string, used: string, limit: string) => ({
    record: limitUse,
    expr: `${used}\n/ on (${labels})\n${limit}\n`,
    labels: { resource },
  })
  return [
    {
      name: 'tidewatch-recording',
      rules: [
        ratio(
          'memory',
          'tidewatch_container_memory_working_set_bytes',
          '(tidewatch_container_memory_limit_bytes > 0)',
        ),
        ratio('pids', 'tidewatch_container_pids', '(tidewatch_container_pids_limit > 0)'),
        ratio(
          'cpu-throttled',
          'rate(tidewatch_container_cpu_throttled_periods_total[5m])',
          '(rate(tidewatch_container_cpu_periods_total[5m]) > 0)',
        ),
      ],
    },
  ]
}
