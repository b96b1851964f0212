import { filter, merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { duration } from '../agent/config/units.ts'
import { defineDetector, type Observed } from '../agent/model/detector.ts'
import type { Detection } from '../agent/model/finding.ts'
import type { ContainerAction, ContainerObservation } from '../agent/model/observation.ts'
import { watch } from './resource-limit-breach/condition.ts'
import { isEnd, isRunning } from './resource-limit-breach/moment.ts'
import { memoryNearLimit, pidsNearLimit } from './resource-limit-breach/near-limit.ts'
import { noLimits } from './resource-limit-breach/no-limits.ts'
import { afterDeath, oomKills } from './resource-limit-breach/oom.ts'
import { perContainer } from './resource-limit-breach/per-container.ts'
import { cpuThrottled } from './resource-limit-breach/throttling.ts'

const share = z.number().gt(0).max(1)

const nearLimitSettings = (what: string) =>
  z
    .strictObject({
      ratio: share
        .default(0.9)
        .describe(`Share of the limit, 0 to 1, from which a container is near it: ${what}.`),
      resolve_ratio: share
        .default(0.8)
        .describe('Share of the limit, 0 to 1, under which it is near no more.'),
      hold: duration('30s').describe('How long the share must be reached without a break.'),
    })
    .refine(({ ratio, resolve_ratio }) => resolve_ratio <= ratio, {
      error: 'must not be above ratio',
      path: ['resolve_ratio'],
    })
    .prefault({})

/** Containers that come to their limits, are held down or killed by them, or have none. */
export const resourceLimitBreach = defineDetector({
  name: 'resource-limit-breach',
  rules: {
    'memory-near-limit': {
      severity: 'warning',
      kind: 'condition',
      summary: 'A container uses nearly all of its memory limit, page cache not counted.',
      remedy: 'Look for a leak in the growth; raise the limit before the kernel kills a process.',
    },
    'oom-kill': {
      severity: 'warning',
      kind: 'event',
      summary: 'The kernel killed a process of a container for want of memory; the container lives on.',
      remedy: 'Check that the service still works without the process; raise the limit or lower its use.',
    },
    'container-oom-killed': {
      severity: 'critical',
      kind: 'event',
      summary: 'A container died because the kernel killed its first process for want of memory.',
      remedy: 'Raise the memory limit, or find what made the use grow; it will happen again after a restart.',
    },
    'cpu-throttled': {
      severity: 'warning',
      kind: 'condition',
      summary: 'A container is denied CPU time by its quota in many of its scheduling periods.',
      remedy: 'Raise the CPU limit if its latency matters, or accept it for batch work.',
    },
    'pids-near-limit': {
      severity: 'warning',
      kind: 'condition',
      summary: 'A container has nearly as many processes and threads as it may.',
      remedy:
        'Look for processes that are not reaped or threads that pile up; at the limit every fork fails.',
    },
    'no-limits': {
      severity: 'info',
      kind: 'condition',
      summary: 'A container runs without a limit for memory, CPU or processes.',
      remedy: 'Set the missing limits (--memory, --cpus, --pids-limit), so that it cannot starve the host.',
    },
  },
  settings: z.strictObject({
    memory: nearLimitSettings('working set against the memory limit'),
    cpu: z
      .strictObject({
        throttled_ratio: share
          .default(0.25)
          .describe(
            'Share of its scheduling periods, 0 to 1, above which a throttled container is reported.',
          ),
        hold: duration('5m').describe('Over how long the share is taken.'),
      })
      .prefault({}),
    pids: nearLimitSettings('processes and threads against their limit'),
  }),
  detect: ({ resources$, containers$ }: Observed, { memory, cpu, pids }): Observable<Detection> => {
    const conditions = [
      watch(memoryNearLimit(memory)),
      watch(cpuThrottled(cpu)),
      watch(pidsNearLimit(pids)),
      watch(noLimits),
    ]
    return merge(
      perContainer(
        merge(resources$, containers$.pipe(filter(isEnd))),
        (life$) => life$.pipe(filter(isEnd)),
        (life$) => merge(...conditions.map((condition) => condition(life$))),
      ),
      perContainer(merge(resources$, containers$.pipe(filter(concernsOom))), afterDeath, oomKills),
    )
  },
})

const oomActions: readonly ContainerAction[] = ['started', 'oom', 'died', 'removed']

function concernsOom(observation: ContainerObservation): boolean {
  return oomActions.includes(observation.action) || (observation.action === 'seen' && isRunning(observation))
}
