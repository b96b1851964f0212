import { catchError, defer, map, type Observable, of, timeout } from 'rxjs'
import { messageOf } from '../../lib/errors.ts'
import type { Container } from '../../model/container.ts'
import type { FirstProcess } from '../../model/observation.ts'
import type { CgroupReader, CgroupReading } from './cgroup-reader.ts'
import { usageOfStats } from './docker-stats.ts'
import type { Usage } from './usage.ts'

/** `GET /containers/{id}/stats?stream=false&one-shot=true`; null when there is no such container. */
export type StatsOnce = (id: string) => Promise<unknown>

/** The result of sampling one container. */
export type SampleResult =
  /**
   * From its cgroup files; `missing` names the controllers that the kernel lacks, `slow` is why it is not as fast as
   * it could be.
   */
  | {
      via: 'files'
      container: Container
      usage: Usage
      firstProcess: FirstProcess | null
      missing: readonly string[]
      slow: string
    }
  /** From the Docker API; `why` is the reason, and `local` is set when the files are on this host but not readable. */
  | { via: 'stats'; container: Container; usage: Usage; why: string; local: boolean }
  | { via: 'nothing'; container: Container; why: string }
  /** It exited meanwhile, which is normal. */
  | { via: 'end'; container: Container }

/** Samples a container from its cgroup files, and through the Docker API only when that is not possible. */
export function takeSample(
  container: Container,
  cgroups: CgroupReader,
  statsOnce: StatsOnce | undefined,
): Observable<SampleResult> {
  const reading = cgroups.read(container)
  if (reading.outcome === 'read') {
    const { usage, firstProcess, missing, slow } = reading
    return of({ via: 'files', container, usage, firstProcess, missing, slow })
  }
  if (reading.outcome === 'vanished') return of({ via: 'end', container })
  const why = reasonOf(reading)
  if (statsOnce === undefined) return of({ via: 'nothing', container, why })
  const local = reading.outcome === 'unreadable'
  return askEngine(container, statsOnce).pipe(
    map((usage): SampleResult =>
      usage === null ? { via: 'end', container } : { via: 'stats', container, usage, why, local },
    ),
    catchError((error: unknown) =>
      of<SampleResult>({ via: 'nothing', container, why: `${why}; Docker API: ${messageOf(error)}` }),
    ),
  )
}

const requestTimeoutMs = 5_000

/** Null for a container that has exited. */
function askEngine(container: Container, statsOnce: StatsOnce): Observable<Usage | null> {
  return defer(() => statsOnce(container.id)).pipe(
    timeout(requestTimeoutMs),
    map((body) => (body === null ? null : usageOfStats(body, container.details?.limits))),
  )
}

function reasonOf(reading: CgroupReading & { outcome: 'not-here' | 'unreadable' }): string {
  return reading.outcome === 'unreadable'
    ? reading.reason
    : 'its first process is not in a cgroup of this host'
}
