import type { ExecutionContext } from 'ava'
import { createDockerClient } from '../../agent/docker/client.ts'
import { endpointOf } from '../../agent/docker/endpoint.ts'
import type { ExecCaller, ExecObservation, Observation } from '../../agent/model/observation.ts'
import { currentConfig } from '../../agent/config/current.ts'
import { configSchema } from '../../agent/config/schema.ts'
import { createSources } from '../../agent/sources.ts'
import { until } from '../support/until.ts'

/** Watches the callers of the execs of this host's engine or another, by sources connected as the daemon connects them. */
export async function watchCallers(t: ExecutionContext, mode: 'ebpf' | 'connector' = 'ebpf', host?: string) {
  const { observe } = createSources({
    config: currentConfig(configSchema.parse({ sources: { processes: { mode } } })),
    client: createDockerClient(endpointOf({ host, env: process.env })),
    cursor: { load: () => null, save: () => {} },
    now: Date.now,
  })
  const seen: { observation: Observation; at: number }[] = []
  const subscription = observe().subscribe((observation) => seen.push({ observation, at: Date.now() }))
  t.teardown(() => subscription.unsubscribe())
  await until(() =>
    seen.some(
      ({ observation }) => observation.kind === 'source-status' && observation.source === 'processes',
    ),
  )
  const all = <K extends Observation['kind']>(kind: K) =>
    seen
      .map(({ observation }) => observation)
      .filter((one): one is Extract<Observation, { kind: K }> => one.kind === kind)
  return {
    seen,
    execsOf: (id: string): ExecObservation[] => all('exec').filter(({ container }) => container.id === id),
    callersOf: (id: string): ExecCaller[] =>
      all('exec-caller').filter(({ container }) => container.id === id),
    losses: () => all('events-lost').filter(({ source }) => source === 'processes'),
  }
}
