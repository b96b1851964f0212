import type { SourceStatus } from '../../model/observation.ts'
import type { CgroupMode } from './cgroup-directories.ts'
import type { SampleResult } from './sample.ts'

/** The status that the source reports of itself. */
export type Health = Pick<SourceStatus, 'mode' | 'reason'>

/**
 * Evaluates one round: for an engine on another host the API is the best mode, for one on this host only its cgroup
 * files are.
 */
export function healthOf(results: readonly SampleResult[], hostMode: CgroupMode | null): Health {
  const isLocal = results.some(({ via }) => via === 'files')
  const usesApi = results.some(({ via }) => via === 'stats')
  const reason = results.map((result) => problemOf(result, isLocal)).find((text) => text !== '') ?? ''
  return { mode: usesApi && !isLocal ? 'stats-api' : (hostMode ?? 'stats-api'), reason }
}

function problemOf(result: SampleResult, isLocal: boolean): string {
  const { name } = result.container
  if (result.via === 'nothing') return `${name} cannot be sampled: ${result.why}`
  if (result.via === 'stats' && (result.local || isLocal)) {
    return `${name} is sampled through the Docker API, at a hundred times the cost: ${result.why}`
  }
  if (result.via === 'files' && result.missing.length > 0) {
    return `the kernel does not count ${result.missing.join(', ')}: enable the cgroup controllers (cgroup_enable=memory on its command line)`
  }
  if (result.via === 'files' && result.slow !== '') {
    return `sampling ${name} costs more than it should, or detects its OOM kills and refused forks late: ${result.slow}`
  }
  return ''
}
