import type { SourceStatus } from '../../model/observation.ts'
import type { CgroupMode } from './cgroup-places.ts'
import type { Look } from './look.ts'

/** What a source says of itself. */
export type Health = Pick<SourceStatus, 'mode' | 'best' | 'reason'>

/** Judges one round: an engine on another host is well with its API, and one on this host only with its files. */
export function healthOf(looks: readonly Look[], hostMode: CgroupMode | null): Health {
  const isLocal = looks.some(({ via }) => via === 'files')
  const isAsked = looks.some(({ via }) => via === 'stats')
  const reason = looks.map((look) => complaint(look, isLocal)).find((text) => text !== '') ?? ''
  return { mode: isAsked && !isLocal ? 'stats-api' : (hostMode ?? 'stats-api'), best: reason === '', reason }
}

function complaint(look: Look, isLocal: boolean): string {
  const { name } = look.container
  if (look.via === 'nothing') return `${name} cannot be sampled: ${look.why}`
  if (look.via === 'stats' && (look.local || isLocal)) {
    return `${name} is sampled by asking the engine, at a hundred times the cost: ${look.why}`
  }
  if (look.via === 'files' && look.missing.length > 0) {
    return `the kernel does not count ${look.missing.join(', ')}: enable the cgroup controllers (cgroup_enable=memory on its command line)`
  }
  if (look.via === 'files' && look.slow !== '') {
    return `${name} costs more than it should, or its kills and refused forks are seen late: ${look.slow}`
  }
  return ''
}
