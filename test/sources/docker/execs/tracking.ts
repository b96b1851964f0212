import { setImmediate } from 'node:timers/promises'
import { createCallQueue } from '../../../../agent/sources/docker/client/call-queue.ts'
import { createExecTracker } from '../../../../agent/sources/docker/execs/execs.ts'
import { containerOfInspect } from '../../../../agent/sources/docker/inventory/identity.ts'
import type { JsonObject } from '../../../../agent/lib/json-object.ts'
import type { Container } from '../../../../agent/model/container.ts'
import type { DockerEvent, ExecEnded, ExecObservation } from '../../../../agent/model/observation.ts'
import { dockerEvent } from '../../../support/docker-event.ts'

export const at = 1_795_500_000_000
export const one = '1'.repeat(64)
export const two = '2'.repeat(64)

export const web = containerOfInspect({
  Id: 'abc',
  Name: '/web',
  State: { Status: 'running' },
  Config: { User: 'app', Healthcheck: { Test: ['CMD', 'check'] } },
})

export function tracking(container: Container = web, limits = { concurrency: 8, limit: 1_000 }) {
  const execs = new Map<string, JsonObject | Error>()
  const execIds: string[] = []
  const seen: (ExecObservation | ExecEnded)[] = []
  const lost: string[] = []
  const starts = new Map<number, number>()
  const inspected: string[] = []
  const state: { now: number; container: Container | undefined; answers: boolean } = {
    now: at,
    container,
    answers: true,
  }
  const calls = createCallQueue(limits)
  calls.open()
  const tracker = createExecTracker({
    client: {
      inspectContainer: async () => ({ Id: 'abc', ExecIDs: [...execIds] }),
      async inspectExec(id) {
        inspected.push(id)
        if (!state.answers) await new Promise(() => {})
        const answer = execs.get(id)
        if (answer instanceof Error) throw answer
        return answer ?? null
      },
    },
    calls,
    containerOf: () => state.container,
    emit: (observation) => seen.push(observation),
    lose: (reason) => lost.push(reason),
    startOf: (pid, containerId) => (containerId === 'abc' ? (starts.get(pid) ?? null) : null),
    now: () => state.now,
  })
  return {
    tracker,
    execs,
    execIds,
    starts,
    seen,
    lost,
    inspected,
    state,
    words: () => seen.map(wordOf),
    later: async (milliseconds: number) => {
      state.now += milliseconds
      while (tracker.tick());
      await settled()
    },
  }
}

function wordOf(observation: ExecObservation | ExecEnded): string {
  const { kind, execId } = observation
  if (kind === 'exec-ended') return `ended ${execId.slice(0, 1)} ${observation.exitCode}`
  return `exec ${execId.slice(0, 1)} ${JSON.stringify(observation.argv)}${observation.exact ? '' : ' inexact'}`
}

export function exec(id: string, argv: string[] = ['id'], overrides: JsonObject = {}): JsonObject {
  const [entrypoint, ...rest] = argv
  const ProcessConfig = { entrypoint, arguments: rest, user: 'app', tty: false, privileged: false }
  return {
    ID: id,
    ContainerID: 'abc',
    Running: false,
    ExitCode: null,
    Pid: 0,
    OpenStdin: false,
    ProcessConfig,
    ...overrides,
  }
}

export function event(
  action: string,
  id: string,
  detail = 'id ',
  attributes: Record<string, string> = {},
): DockerEvent {
  return dockerEvent(action, { detail, time: at, attributes: { execID: id, ...attributes } })
}

export async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await setImmediate()
}
