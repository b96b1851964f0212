import type { ResourceSample } from '../../agent/model/observation.ts'
import type { Condition } from './condition.ts'

/** Which limits a container lacks, counting those of its parents in as far as they are seen. */
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

/** A container without limits can starve its neighbours and the host. */
export const noLimits: Condition<{ firing: boolean }> = {
  rule: 'no-limits',
  start: { firing: false },
  judge: (_, sample) => ({ firing: missingLimits(sample).length > 0 }),
  describe: (sample) => {
    const missing = missingLimits(sample)
    const { name } = sample.container
    return {
      summary:
        missing.length === 0
          ? `${name} has limits for memory, cpu and pids`
          : `${name} runs without a limit for ${listed(missing)}`,
      evidence: { missing },
    }
  },
}

function listed(words: readonly string[]): string {
  const [last = '', ...others] = words.toReversed()
  return others.length === 0 ? last : `${others.toReversed().join(', ')} and ${last}`
}
