/** The process source in a separate process, which a test can stop temporarily; they communicate by IPC messages. */
import type { ContainerLookup } from '../../../agent/model/container.ts'
import type { Observation } from '../../../agent/model/observation.ts'
import type { ModeName } from '../../../agent/sources/processes/modes/mode.ts'
import { processes } from '../../../agent/sources/processes/source.ts'
import { sampleContainer } from '../../support/samples.ts'

export type Answer = { observation: Observation } | { living: [pid: number, startTicks: number][] }

const [mode, containerId = '', ringBytes] = process.argv.slice(2)
const container = sampleContainer({ id: containerId, name: 'stopped' })
const containers: ContainerLookup = {
  get: (id) => (id === containerId ? container : undefined),
  all: () => [container],
  running: () => [container],
  isPending: () => false,
}
const source = processes({
  mode: mode as 'auto' | ModeName,
  containers,
  now: Date.now,
  ringBytes: Number(ringBytes),
})

source.observe().subscribe({
  next(observation) {
    const isOurs = observation.kind !== 'process' || observation.container.id === containerId
    if (isOurs) answer({ observation })
  },
  error(error: unknown) {
    throw error
  },
})

process.on('message', () => {
  answer({ living: [...source.table.living()].map(({ pid, startTicks }) => [pid, startTicks]) })
})
process.on('disconnect', () => process.exit())

function answer(what: Answer): void {
  process.send?.(
    JSON.parse(
      JSON.stringify(what, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value)),
    ) as Answer,
  )
}
