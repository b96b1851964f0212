import { filter, map, merge, type Observable } from 'rxjs'
import { z } from 'zod'
import { live } from '../../agent/lib/live.ts'
import { duration } from '../../agent/config/units.ts'
import { defineDetector, type Observed } from '../../agent/model/detector.ts'
import type { Detection } from '../../agent/model/finding.ts'
import type { ContainerAction, ContainerObservation } from '../../agent/model/observation.ts'
import { monitorCondition } from './condition.ts'
import { limitEvidence } from './evidence.ts'
import { judgeForks, noForks } from './forks.ts'
import { isEnd, isRunning, scanSteps } from './container-event.ts'
import { memoryNearLimit, pidsNearLimit } from './near-limit.ts'
import { noLimits } from './no-limits.ts'
import { afterDeath, oomKills, sigkillRequestOf } from './oom/kills.ts'
import { withVictims } from './oom/victims.ts'
import { type CurrentContainer, perContainer } from './per-container.ts'
import { memoryPressure } from './pressure.ts'
import { restartLoop, restartsAreOver, stopRequestOf } from './restart-loop.ts'
import { cpuThrottled } from './throttling.ts'

const share = z.number().gt(0).max(1)

const resolveHold = (what: string) =>
  duration('5m', { min: '0s' }).describe(
    `How long ${what} before the condition resolves, so that repeated peaks are one finding.`,
  )

const thresholdSettings = (subject: string, ratio: number, resolveRatio: number) =>
  z
    .strictObject({
      ratio: share.default(ratio).describe(`Share, 0 to 1, at which the rule fires: ${subject}.`),
      resolve_ratio: share
        .default(resolveRatio)
        .describe('Share, 0 to 1, below which the condition resolves.'),
      hold: duration('30s').describe('How long the share must stay at or above `ratio`.'),
      resolve_hold: resolveHold('the share must stay below `resolve_ratio`'),
    })
    .refine((given) => given.resolve_ratio <= given.ratio, {
      error: 'must not be above ratio',
      path: ['resolve_ratio'],
    })
    .prefault({})

/** Containers that reach their limits, are slowed down or killed by them, or have none. */
export const resourceLimitBreach = defineDetector({
  name: 'resource-limit-breach',
  rules: {
    'memory-near-limit': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1496',
      summary: 'A container uses nearly all of its memory limit (page cache not included).',
      remedy: 'Check the growth for a leak; raise the limit before the kernel kills a process.',
    },
    'memory-pressure': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1496',
      summary: 'Processes of a container spend much of their time waiting for memory to be reclaimed.',
      remedy:
        'Raise the memory limit or reduce memory use; the container is already slow, and an OOM kill may follow.',
    },
    'oom-kill': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1499',
      summary: 'A process of a container was OOM-killed; the container is still running.',
      remedy: 'Check that the service still works without the process; raise the limit or reduce memory use.',
    },
    'container-oom-killed': {
      severity: 'critical',
      kind: 'event',
      technique: 'T1499',
      summary: 'A container died because its first process was OOM-killed.',
      remedy:
        'Raise the memory limit, or find out why memory use grew; it will happen again after a restart.',
    },
    'cpu-throttled': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1496',
      summary: 'A container is throttled by its CPU quota in many of its scheduling periods.',
      remedy: 'Raise the CPU limit if latency matters, or accept it for batch work.',
    },
    'pids-near-limit': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1499',
      summary: 'A container has nearly reached its limit of processes and threads.',
      remedy: 'Look for unreaped processes or accumulating threads; at the limit every fork fails.',
    },
    'pids-limit-hit': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1499',
      summary: 'A container could not start a process or thread because it reached its process limit.',
      remedy: 'Look for a fork bomb or unreaped processes; raise --pids-limit if it is neither.',
    },
    'process-burst': {
      severity: 'warning',
      kind: 'event',
      technique: 'T1499',
      summary: 'The number of processes and threads in a container grew very fast, as in a fork bomb.',
      remedy: 'Stop the container if this is not intended; set --pids-limit if it has none.',
    },
    'restart-loop': {
      severity: 'warning',
      kind: 'condition',
      technique: 'T1499',
      summary: 'A container repeatedly exits and is restarted.',
      remedy:
        'Read its logs and the exit codes: 137 is a SIGKILL, 139 a crash, others come from the program.',
    },
    'no-limits': {
      severity: 'info',
      kind: 'condition',
      technique: 'T1499',
      summary: 'A container runs without a memory, CPU or process limit.',
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
          .describe('Share of scheduling periods, 0 to 1, above which a throttled container is reported.'),
        hold: duration('5m').describe('Time over which the share is measured.'),
        resolve_hold: resolveHold('the share must stay at or below `throttled_ratio`'),
      })
      .prefault({}),
    pids: thresholdSettings('processes and threads against their limit', 0.9, 0.8),
    process_burst: z
      .strictObject({
        processes: z
          .int()
          .min(10)
          .default(500)
          .describe(
            'Growth in processes and threads that counts as a burst. Growth by half of a limit also counts if it ends near that limit.',
          ),
        within: duration('10s').describe('Time within which a container must grow that much.'),
      })
      .prefault({}),
    restarts: z
      .strictObject({
        count: z.int().min(2).default(3).describe('Number of restarts that count as a loop.'),
        within: duration('5m').describe(
          'Time within which these restarts must happen. The loop ends after the same time without a restart.',
        ),
      })
      .prefault({}),
  }),
  perContainer: ['memory', 'memory_pressure', 'cpu', 'pids', 'process_burst', 'restarts'],
  detect: (observed: Observed, settings, settingsOf = () => settings): Observable<Detection> => {
    const { on } = observed
    const settingsNow = (current: CurrentContainer) => () => {
      const container = current()
      return container === null ? settings : settingsOf(container)
    }
    const judgesOf = (current: CurrentContainer) => {
      const now = settingsNow(current)
      return [
        monitorCondition(memoryNearLimit(live(() => now().memory))),
        monitorCondition(memoryPressure(live(() => now().memory_pressure))),
        monitorCondition(cpuThrottled(live(() => now().cpu))),
        monitorCondition(pidsNearLimit(live(() => now().pids))),
        scanSteps(noForks, judgeForks(live(() => now().process_burst))),
        monitorCondition(noLimits),
      ]
    }
    return merge(
      perContainer(
        merge(on('resources'), on('container').pipe(filter(isStartOrEnd))),
        (events$) => events$.pipe(filter(isEnd)),
        (events$, current) => merge(...judgesOf(current).map((judge) => judge(events$))),
      ),
      perContainer(
        merge(
          on('container').pipe(filter(isStartOrEnd)),
          observed.on('docker-event').pipe(
            map(stopRequestOf),
            filter((request) => request !== null),
          ),
        ),
        restartsAreOver,
        (events$, current) => restartLoop(live(() => settingsNow(current)().restarts))(events$),
      ),
      withVictims(
        perContainer(
          merge(
            on('resources'),
            on('container').pipe(filter(isOomFact)),
            observed.on('oom-victim'),
            observed.on('docker-event').pipe(
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

function isStartOrEnd(observation: ContainerObservation): boolean {
  return observation.action === 'started' || isEnd(observation)
}

const oomActions: readonly ContainerAction[] = ['created', 'started', 'oom', 'died', 'removed']

function isOomFact(observation: ContainerObservation): boolean {
  return oomActions.includes(observation.action) || (observation.action === 'seen' && isRunning(observation))
}
