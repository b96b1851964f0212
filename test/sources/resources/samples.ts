import type { Container, ContainerDetails, ContainerView } from '../../../agent/model/container.ts'
import type {
  ContainerAction,
  ContainerObservation,
  FirstProcess,
  OomVictim,
  ResourceSample,
} from '../../../agent/model/observation.ts'
import { sampleContainer, sampleDetails } from '../../support/samples.ts'
import type { Usage } from '../../../agent/sources/resources/usage.ts'

/** The container that the trees in `test/fixtures/cgroup/` were made for, with pid 4242. */
export const fixtureId = `3f1c${'a5'.repeat(30)}`

export function details(given: Partial<ContainerDetails> = {}): ContainerDetails {
  return { ...sampleDetails, pid: 4242, startedAt: 1_000, ...given }
}

export function container(given: Partial<Container> = {}): Container {
  return { ...sampleContainer({ id: fixtureId }), details: details(), ...given }
}

/** The usage that every tree in `test/fixtures/cgroup/` shows, whatever its version and driver. */
export const fixtureUsage: Usage = {
  memory: { workingSetBytes: 113_246_208, limitBytes: 268_435_456, swapBytes: 1_048_576, oomKills: 2 },
  cpu: { usageSeconds: 12.5, quotaCores: 0.5, periods: 400, throttledPeriods: 100, throttledSeconds: 2.5 },
  pids: { current: 7, limit: 100, refusedForks: 3 },
  pressure: {
    cpu: { someSeconds: 4.5, fullSeconds: 0 },
    memory: { someSeconds: 1.25, fullSeconds: 0.75 },
    io: { someSeconds: 0.5, fullSeconds: 0.25 },
  },
  blockIo: { readBytes: 12_288, writtenBytes: 4_096 },
}

export type Given = {
  container?: Container
  memory?: Partial<Usage['memory']>
  cpu?: Partial<Usage['cpu']>
  pids?: Partial<Usage['pids']>
  pressure?: Partial<Usage['pressure']>
  firstProcess?: FirstProcess
}

/** A sample with limits and nothing near them, except for the given values. */
export function sample(time: number, given: Given = {}): ResourceSample {
  return {
    kind: 'resources',
    time,
    container: given.container ?? container(),
    memory: { workingSetBytes: 0, limitBytes: 1000, swapBytes: 0, oomKills: 0, ...given.memory },
    cpu: {
      usageSeconds: 0,
      quotaCores: 1,
      periods: 0,
      throttledPeriods: 0,
      throttledSeconds: 0,
      ...given.cpu,
    },
    pids: { current: 1, limit: 100, refusedForks: 0, ...given.pids },
    pressure: { cpu: null, memory: null, io: null, ...given.pressure },
    blockIo: null,
    ...(given.firstProcess && { firstProcess: given.firstProcess }),
  }
}

export type LifecycleGiven = { container?: Container; exitCode?: number; oomKilled?: boolean }

/** A lifecycle event of the container. */
export function lifecycle(
  time: number,
  action: ContainerAction,
  { container: given = container(), exitCode, oomKilled = false }: LifecycleGiven = {},
): ContainerObservation {
  const changed = { ...given, details: given.details && { ...given.details, oomKilled } }
  return {
    kind: 'container',
    time,
    action,
    container: changed,
    exitCode: exitCode ?? null,
    previousName: null,
  }
}

/** An OOM victim that the kernel named: the container's first process or another. */
export function oomVictim(time: number, given: Partial<OomVictim> = {}): OomVictim {
  const isInit = given.isInit ?? false
  const process = { pid: isInit ? 4242 : 4300, startTicks: 77, exe: '/bin/eat', argv: ['eat'] }
  return {
    kind: 'oom-victim',
    time,
    container: container(),
    process,
    isInit,
    isGroup: false,
    execId: '',
    ...given,
  }
}

/** A view of these containers that reflects later changes of the array. */
export function viewOf(running: Container[]): ContainerView {
  return { all: () => running, running: () => running, get: (id) => running.find((one) => one.id === id) }
}
