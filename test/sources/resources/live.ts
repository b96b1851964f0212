import { createInterface } from 'node:readline'
import type { ExecutionContext } from 'ava'
import { filter, share, Subject, tap } from 'rxjs'
import { createDockerClient } from '../../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../../agent/sources/docker/client/endpoint.ts'
import type { Container } from '../../../agent/model/container.ts'
import type { Detection } from '../../../agent/model/finding.ts'
import type {
  ContainerAction,
  ContainerObservation,
  Observation,
  ResourceSample,
} from '../../../agent/model/observation.ts'
import { resources } from '../../../agent/sources/resources/resources.ts'
import { resourceLimitBreach } from '../../../detectors/resource-limit-breach/index.ts'
import { busyboxImage } from '../../support/busybox-image.ts'
import { observing } from '../../support/observed.ts'
import { docker, start } from '../../support/processes.ts'
import { until } from '../../support/until.ts'
import { container, details, viewOf } from './samples.ts'

/** The paths of this host's kernel interfaces. */
export const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', now: Date.now }

/** Requests one sample from this host's engine, as the daemon does. */
export const { statsOnce } = createDockerClient(endpointOf({ env: process.env }))

/** Runs a container for one test and removes it afterwards. */
export async function runContainer(
  t: ExecutionContext,
  suffix: string,
  options: readonly string[],
  ...command: string[]
): Promise<Container> {
  const name = `tidewatch-test-resources-${suffix}-${process.pid}`
  const image = await busyboxImage()
  t.teardown(() => docker('rm', '-f', name).catch(() => undefined))
  const id = (await docker('run', '-d', '--name', name, ...options, image, ...command)).trim()
  const pid = Number(await docker('inspect', '-f', '{{.State.Pid}}', id))
  return container({ id, name, image, details: details({ pid }) })
}

/** Collects what the source reports; the source stops with the test. */
export function observe(t: ExecutionContext, running: Container[], intervalMs = 50): Observation[] {
  const seen: Observation[] = []
  const subscription = resources({ ...kernel, containers: viewOf(running), intervalMs })
    .observe()
    .subscribe((observation) => seen.push(observation))
  t.teardown(() => subscription.unsubscribe())
  return seen
}

/** What was observed and detected for one container so far. */
export type Watched = { samples: ResourceSample[]; actions: ContainerAction[]; detections: Detection[] }

/** Runs the source, the engine's events and the detector together, with the given detector settings. */
export async function watch(
  t: ExecutionContext,
  watched: Container,
  settings: object = {},
): Promise<Watched> {
  const all: Watched = { samples: [], actions: [], detections: [] }
  const running = [watched]
  const containers$ = new Subject<ContainerObservation>()
  const resources$ = resources({ ...kernel, containers: viewOf(running), intervalMs: 100 })
    .observe()
    .pipe(
      filter((seen) => seen.kind === 'resources'),
      tap((sample) => all.samples.push(sample)),
      share(),
    )
  const detected$ = resourceLimitBreach.detect(
    observing({ resources: resources$, container: containers$ }),
    resourceLimitBreach.settings.parse(settings),
  )
  const subscription = detected$.subscribe((detection) => all.detections.push(detection))
  t.teardown(() => subscription.unsubscribe())
  await followEvents(t, watched, (observation) => {
    if (observation.action === 'died') running.length = 0
    all.actions.push(observation.action)
    containers$.next(observation)
  })
  return all
}

const actions: Readonly<Record<string, ContainerAction>> = {
  oom: 'oom',
  die: 'died',
  start: 'started',
  pause: 'paused',
  unpause: 'unpaused',
  update: 'updated',
  destroy: 'removed',
}

type Event = { Action: string; timeNano: number; Actor: { Attributes: Record<string, string> } }

/** Follows the engine's events of one container from its creation on. */
export async function followEvents(
  t: ExecutionContext,
  watched: Container,
  onEvent: (observation: ContainerObservation) => void,
): Promise<void> {
  const since = await docker('inspect', '-f', '{{.Created}}', watched.id)
  const filters = ['--since', since.trim(), '--filter', `container=${watched.id}`]
  const events = start('docker', ['events', ...filters, '--format', '{{json .}}'])
  t.teardown(() => events.stop())
  createInterface({ input: events.process.stdout! }).on('line', (line) => {
    const { Action, timeNano, Actor } = JSON.parse(line) as Event
    const action = actions[Action]
    if (action === undefined) return
    const exitCode = action === 'died' ? Number(Actor.Attributes['exitCode']) : null
    const time = timeNano / 1e6
    onEvent({ kind: 'container', time, action, container: watched, exitCode, previousName: null })
  })
}

/** The rules of the detected events, and the conditions with their state. */
export function reportedRules({ detections }: Watched): string[] {
  return detections.map(({ rule, state }) => (state === undefined ? rule : `${rule} ${state}`))
}

/** The first sample of a source without problems. */
export async function firstSample(seen: readonly Observation[]) {
  const sample = await until(() => lastSample(seen))
  const [status] = seen
  if (status?.kind !== 'source-status' || !status.best) throw new Error(JSON.stringify(status))
  return sample
}

/** The last sample of any container. */
export function lastSample(seen: readonly Observation[]) {
  return seen.findLast((one) => one.kind === 'resources')
}

/** How often a container was sampled. */
export function samplesOf(seen: readonly Observation[], of: Container): number {
  return seen.filter((one) => one.kind === 'resources' && one.container.id === of.id).length
}
