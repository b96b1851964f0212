import type { ResourceSample } from '../../agent/model/observation.ts'
import type { Condition } from './condition.ts'

/** The limits that a container lacks. Limits of its parent cgroups count where they are visible. */
export function missingLimits({
  memory,
  cpu,
  pids,
}: Pick<ResourceSample, 'memory' | 'cpu' | 'pids'>): string[] {
  const limits = { memory: memory.limitBytes, cpu: cpu.quotaCores, pids: pids.limit }
  return Object.entries(limits)
    .filter(([, limit]) => limit === null)
    .map(([resource]) => resource)
}

/** A container without limits can starve other containers and the host. */
export const noLimits: Condition<{ firing: boolean }> = {
  rule: 'no-limits',
  start: { firing: false },
  judge: (_, sample) => ({ firing: missingLimits(sample).length > 0 }),
  describe: (sample) => {
    const missing = missingLimits(sample)
    const { name } = sample.container
    return {
      summary: `${name}: no ${listed(missing.map((resource) => names[resource] ?? resource))} limit`,
      evidence: { missing },
    }
  },
  resolution: () => 'memory, CPU and process limits are set',
}

const names: Readonly<Record<string, string>> = { memory: 'memory', cpu: 'CPU', pids: 'process' }

function listed(words: readonly string[]): string {
  const [last = '', ...others] = words.toReversed()
  return others.length === 0 ? last : `${others.toReversed().join(', ')} or ${last}`
}
