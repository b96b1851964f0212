import { filter, map, merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { live } from '../../agent/lib/live.ts'
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerAction, ContainerObservation } from '../../agent/model/observation.ts'
import { watch } from './condition.ts'
import { limitEvidence } from './evidence.ts'
import { judgeForks, noForks } from './forks.ts'
import { isEnd, isRunning, walk } from './moment.ts'
import { memoryNearLimit, pidsNearLimit } from './near-limit.ts'
import { noLimits } from './no-limits.ts'
import { afterDeath, oomKills, sigkillRequestOf } from './oom.ts'
import { type Followed, perContainer } from './per-container.ts'
import { memoryPressure } from './pressure.ts'
import { askedOf, restartLoop, restartsAreOver } from './restart-loop.ts'
import { cpuThrottled } from './throttling.ts'
import { withVictims } from './victims.ts'

const share = z.number().gt(0).max(1)

const thresholdSettings = (what: string, ratio: number, resolveRatio: number) =>
  z
    .strictObject({
      ratio: share.default(ratio).describe(`Share, 0 to 1, from which it fires: ${what}.`),
      resolve_ratio: share.default(resolveRatio).describe('Share, 0 to 1, under which it is over.'),
      hold: duration('30s').describe('How long the share must be reached without a break.'),
    })
    .refine((given) => given.resolve_ratio <= given.ratio, {
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
    'memory-pressure': {
      severity: 'warning',
      kind: 'condition',
      summary: 'Processes of a container spend much of their time waiting for memory to be reclaimed.',
      remedy: 'Raise the memory limit or lower its use; it is slow already, and a kill may come next.',
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
    'pids-limit-hit': {
      severity: 'warning',
      kind: 'event',
      summary: 'A container could not start a process or thread because it has as many as it may.',
      remedy:
        'Look for a fork bomb or for processes that are not reaped; raise --pids-limit if it is neither.',
    },
    'process-burst': {
      severity: 'warning',
      kind: 'event',
      summary: 'The processes and threads of a container multiply, as those of a fork bomb do.',
      remedy: 'Stop the container if it is not meant to do this; give it a --pids-limit if it has none.',
    },
    'restart-loop': {
      severity: 'warning',
      kind: 'condition',
      summary: 'A container ends and is started again and again.',
      remedy: 'Read its logs and the exit codes: 137 is a kill, 139 a crash, others are its own.',
    },
    'no-limits': {
      severity: 'info',
      kind: 'condition',
      summary: 'A container runs without a limit for memory, CPU or processes.',
      remedy: 'Set the missing limits (--memory, --cpus, --pids-limit), so that it cannot starve the host.',
    },
  },
  evidence: limitEvidence,
  settings: z.strictObject({
    memory: thresholdSettings('working set against the memory limit', 0.9, 0.8),
    memory_pressure: thresholdSettings('time in which processes waited for memory', 0.2, 0.1),
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
    pids: thresholdSettings('processes and threads against their limit', 0.9, 0.8),
    process_burst: z
      .strictObject({
        processes: z
          .int()
          .min(10)
          .default(500)
          .describe('Growth in processes and threads; half of a limit, if it gets near it, will do too.'),
        within: duration('10s').describe('How fast a container must grow so much.'),
      })
      .prefault({}),
    restarts: z
      .strictObject({
        count: z.int().min(2).default(3).describe('How many restarts are a loop.'),
        within: duration('5m').describe('Within how long; as long without one is its end.'),
      })
      .prefault({}),
  }),
  perContainer: ['memory', 'memory_pressure', 'cpu', 'pids', 'process_burst', 'restarts'],
  detect: (observed: Observed, settings, settingsOf = () => settings): Observable<Detection> => {
    const { resources$, containers$ } = observed
    const settingsNow = (followed: Followed) => () => {
      const container = followed()
      return container === null ? settings : settingsOf(container)
    }
    const during = (followed: Followed) => {
      const now = settingsNow(followed)
      return [
        watch(memoryNearLimit(live(() => now().memory))),
        watch(memoryPressure(live(() => now().memory_pressure))),
        watch(cpuThrottled(live(() => now().cpu))),
        watch(pidsNearLimit(live(() => now().pids))),
        walk(noForks, judgeForks(live(() => now().process_burst))),
        watch(noLimits),
      ]
    }
    return merge(
      perContainer(
        merge(resources$, containers$.pipe(filter(beginsOrEnds))),
        (life$) => life$.pipe(filter(isEnd)),
        (life$, followed) => merge(...during(followed).map((judge) => judge(life$))),
      ),
      perContainer(
        merge(
          containers$.pipe(filter(beginsOrEnds)),
          observed.dockerEvents$.pipe(
            map(askedOf),
            filter((asked) => asked !== null),
          ),
        ),
        restartsAreOver,
        (life$, followed) => restartLoop(live(() => settingsNow(followed)().restarts))(life$),
      ),
      withVictims(
        perContainer(
          merge(
            resources$,
            containers$.pipe(filter(concernsOom)),
            observed.oomVictims$,
            observed.dockerEvents$.pipe(
              map(sigkillRequestOf),
              filter((request) => request !== null),
            ),
          ),
          afterDeath,
          oomKills,
        ),
        observed,
      ),
    )
  },
})

function beginsOrEnds(observation: ContainerObservation): boolean {
  return observation.action === 'started' || isEnd(observation)
}

const oomActions: readonly ContainerAction[] = ['started', 'oom', 'died', 'removed']

function concernsOom(observation: ContainerObservation): boolean {
  return oomActions.includes(observation.action) || (observation.action === 'seen' && isRunning(observation))
}
