import test, { type ExecutionContext } from 'ava'
import type { ProcEvent, SequencedEvent } from '../../../../agent/linux/proc-events.ts'
import { eventReader } from '../../../../agent/sources/processes/modes/connector.ts'
import type { ModeContext } from '../../../../agent/sources/processes/modes/mode.ts'
import { sampleContainer } from '../../../support/samples.ts'
import { fakeProc } from '../fake-proc.ts'
import { inContainer, seenProcess, watched } from '../samples.ts'

const id = 'a'.repeat(64)
const web = sampleContainer({ id, name: 'web', details: { pid: 200 } })
const init = seenProcess({ pid: 200, startTicks: 20, uid: 1_000, euid: 1_000, ...inContainer(id) })

test('an exec is read from /proc while the process is running', async (t) => {
  const { read, observed, proc } = await sample(t)
  await proc.add({
    pid: 201,
    parentPid: 200,
    startTicks: 30,
    argv: ['ls'],
    uid: 7,
    cgroup: `/docker/${id}`,
    mountNamespace: 11,
  })
  read([{ what: 'exec', pid: 201 }])
  t.like(observed()[0], { change: 'executed', process: { argv: ['ls'], uid: 7 } })
})

test('an exec of an exited process is reported with what it inherited, and counted as a loss', async (t) => {
  const { read, observed, tracker, reader } = await sample(t)
  tracker.found(init, 1)
  read([
    { what: 'fork', parentPid: 200, pid: 201 },
    { what: 'exec', pid: 201 },
  ])
  t.like(observed().at(-1), { change: 'executed', container: web, origin: { via: 'init' } })
  t.like(observed().at(-1)?.process, { pid: 201, uid: 1_000, exe: '', argv: [] })
  t.deepEqual(reader.takeLosses(), { gaps: 0, unreadable: 0, gone: 1 })
  t.deepEqual(reader.takeLosses(), { gaps: 0, unreadable: 0, gone: 0 })
})

test('an exit ends the process in the table, with its exit code', async (t) => {
  const { read, tracker, table } = await sample(t)
  tracker.found(init, 1)
  read([{ what: 'exit', pid: 200, code: 0x0309 }])
  t.is(table.get(200), undefined)
  t.deepEqual(table.find(init)?.exit?.code, { status: 3, signal: 9 })
})

test('gaps in the sequence of each processor are counted, also across a wrap to 0', async (t) => {
  const { deliver, reader } = await sample(t)
  const at = (processor: number, sequence: number) => ({ processor, sequence, monotonicNs: 0n, event: null })
  deliver([at(0, 5), at(1, 70), at(0, 6), at(0, 9), at(1, 71), at(1, 72)])
  t.is(reader.takeLosses().gaps, 2)
  deliver([at(0, 10), at(1, 2 ** 32 - 1)])
  reader.takeLosses()
  deliver([at(1, 0), at(1, 2)])
  t.is(reader.takeLosses().gaps, 1)
})

test('a malformed message is counted, and the acknowledgement of our own request is no gap', async (t) => {
  const { deliver, reader } = await sample(t)
  const acknowledgement = { processor: 2 ** 32 - 1, sequence: 1, monotonicNs: 0n, event: null }
  deliver([undefined, acknowledgement, { ...acknowledgement, sequence: 9 }])
  t.deepEqual(reader.takeLosses(), { gaps: 0, unreadable: 1, gone: 0 })
})

async function sample(t: ExecutionContext) {
  const proc = await fakeProc(t)
  const world = watched([web])
  t.teardown(() => world.tracker.close())
  const inbox: (SequencedEvent | undefined)[] = []
  const receive = () => (inbox.length === 0 ? null : inbox.shift())
  const context = { ...world, procRoot: proc.root } as unknown as ModeContext
  const reader = eventReader({ receive }, world.tracker, context)
  let sequence = 0

  function deliver(messages: readonly (SequencedEvent | undefined)[]): void {
    inbox.push(...messages)
    reader.read()
  }

  const read = (events: readonly ProcEvent[]) =>
    deliver(events.map((event) => ({ processor: 0, sequence: sequence++, monotonicNs: 1_000_000n, event })))
  return { ...world, proc, reader, deliver, read }
}
