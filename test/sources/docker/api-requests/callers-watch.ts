import { configuration } from '../../../../agent/daemon/configuration.ts'
import type { ExecutionContext } from 'ava'
import type { Subscription } from 'rxjs'
import { createDockerClient } from '../../../../agent/sources/docker/client/client.ts'
import { endpointOf } from '../../../../agent/sources/docker/client/endpoint.ts'
import type { ExecCaller, ExecObservation, Observation } from '../../../../agent/model/observation.ts'
import { currentConfig } from '../../../../agent/config/current.ts'
import { dockerSources } from '../../../../agent/daemon/docker-sources.ts'
import { createSources } from '../../../../agent/daemon/sources.ts'
import { bootClock } from '../../../../agent/linux/boot-clock.ts'
import { processTable } from '../../../../agent/sources/processes/table/table.ts'
import { until } from '../../../support/until.ts'

type Seen = { observation: Observation; at: number }

// Sources hash the runtime and read package lists when they start, so tests of a file with the same engine share
// them.
const started = new Map<string, { all: Seen[]; subscription: Subscription }>()

/**
 * Observes the callers of execs on this host's engine, through sources connected like in the daemon. The sources are
 * shared until the test file ends; a test sees what comes after its call.
 */
export async function watchCallers(mode: 'ebpf' | 'connector' = 'ebpf') {
  const watch = started.get(mode) ?? startWatch(mode)
  started.set(mode, watch)
  return await viewOf(watch.all, watch.all.length)
}

/** Stops the sources that the tests of a file share. */
export function endWatches(): void {
  for (const { subscription } of started.values()) subscription.unsubscribe()
}

/** The same for another engine, with separate sources. */
export async function watchCallersOf(t: ExecutionContext, host: string) {
  const { all, subscription } = startWatch('ebpf', host)
  t.teardown(() => subscription.unsubscribe())
  return await viewOf(all, 0)
}

function startWatch(mode: 'ebpf' | 'connector', host?: string) {
  const all: Seen[] = []
  const now = Date.now
  const { observe } = createSources({
    config: currentConfig(configuration.schema.parse({ sources: { processes: { mode } } })),
    docker: dockerSources({
      client: createDockerClient(endpointOf({ host, env: process.env })),
      cursor: { load: () => null, save: () => {} },
      now,
    }),
    table: processTable({ clock: bootClock() }),
    now,
  })
  const subscription = observe().subscribe((observation) => all.push({ observation, at: Date.now() }))
  return { all, subscription }
}

/** The observations from index `from` on, once the process source is up. */
async function viewOf(all: readonly Seen[], from: number) {
  await until(() =>
    all.some(({ observation }) => observation.kind === 'source-status' && observation.source === 'processes'),
  )
  const ofKind = <K extends Observation['kind']>(kind: K) =>
    all
      .slice(from)
      .map(({ observation }) => observation)
      .filter((one): one is Extract<Observation, { kind: K }> => one.kind === kind)
  return {
    seen: () => all.slice(from),
    execsOf: (id: string): ExecObservation[] => ofKind('exec').filter(({ container }) => container.id === id),
    callersOf: (id: string): ExecCaller[] =>
      ofKind('exec-caller').filter(({ container }) => container.id === id),
    losses: () => ofKind('events-lost').filter(({ source }) => source === 'processes'),
  }
}
