import test from 'ava'
import { execLedger } from '../agent/exec-ledger.ts'
import type { ContainerObservation, ExecEnded, ProcessObservation } from '../agent/model/observation.ts'
import { dockerEvent } from './support/docker-event.ts'
import { emptyMemory } from './support/observed.ts'
import { sampleContainer, sampleExec, sampleProcess } from './support/samples.ts'

const container = sampleContainer({ details: { user: '1000' } })
const execId = 'e'.repeat(64)
const asRoot = sampleExec({ container, execId, time: 10_000, settings: { user: '0' } })
const entered = (id: string, startedAt = 10_000, pid = 7): ProcessObservation =>
  sampleProcess({
    container,
    origin: { via: 'entered', entry: { pid, startTicks: 1, startedAt }, execId: id, by: [] },
  })
const ended = (time: number): ExecEnded => ({ kind: 'exec-ended', time, container, execId, exitCode: 0 })
const containerGoes = (action: 'died' | 'removed', time = 20_000): ContainerObservation => ({
  kind: 'container',
  time,
  action,
  container,
  exitCode: null,
  previousName: null,
})
const announced = dockerEvent('exec_create', { actorId: container.id, attributes: { execID: execId } })

test('an exec explains what belongs to it by its id, and only by time what has none', (t) => {
  const ledger = execLedger(emptyMemory())
  const by = (seen: ProcessObservation) => ledger.entryOf(seen).by
  ledger.observe(asRoot)
  t.is(by(entered(execId, 99_000)), 'exec')
  t.is(by(entered('f'.repeat(64))), 'none')
  t.is(by(entered('')), 'time')
  t.is(by(entered('', 99_000)), 'time')
  t.is(by(entered('', 8_000)), 'none')
  ledger.observe(ended(12_000))
  t.is(by(entered('', 99_000)), 'none')
  t.is(by(entered(execId, 99_000)), 'none', 'an id used again')
  t.is(by(entered(execId, 12_500)), 'exec')
  t.is(by(sampleProcess({ container })), 'none')
})

test('an event explains before the engine was asked, but not where an image’s label may speak', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(announced)
  t.deepEqual(ledger.entryOf(entered(execId)), { by: 'exec', asRoot: true, privileged: true })
  const labelled = sampleContainer({ labels: { execID: execId } })
  t.is(ledger.entryOf({ ...entered(execId), container: labelled }).by, 'none')
  ledger.observe(sampleExec({ container, execId, time: 10_000, settings: { user: '1000' } }))
  t.deepEqual(ledger.entryOf(entered(execId)), { by: 'exec', asRoot: false, privileged: false })
  ledger.observe(sampleExec({ container: labelled, execId, time: 10_000 }))
  t.is(ledger.entryOf({ ...entered(execId), container: labelled }).by, 'exec')
})

test('by its first process an exec is told from who comes while it goes on', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(asRoot)
  ledger.observe(entered(execId, 10_050, 7))
  t.is(ledger.entryOf(entered('', 10_050, 7)).by, 'exec')
  t.is(ledger.entryOf(entered('', 10_060, 8)).by, 'none')
})

test('an exec that goes on is known after a restart, with its first process, and one that ended is not', (t) => {
  const memory = emptyMemory()
  const before = execLedger(memory)
  before.observe(asRoot)
  before.observe(entered(execId, 10_050, 7))
  t.false(before.isFromBefore(asRoot))
  const ledger = execLedger(memory)
  t.true(ledger.isFromBefore(asRoot))
  t.deepEqual(ledger.entryOf(entered('', 10_050, 7)), { by: 'exec', asRoot: true, privileged: false })
  t.is(ledger.entryOf(entered('', 10_060, 8)).by, 'none')
  // An engine that has not forgotten tells of it once more.
  ledger.observe(asRoot)
  t.true(ledger.isFromBefore(asRoot))
  t.is(ledger.entryOf(entered('', 10_050, 7)).by, 'exec')
  ledger.observe(ended(12_000))
  t.is(execLedger(memory).entryOf(entered(execId)).by, 'none')
})

test('nothing is kept of health checks, of containers that are gone, and of what cannot be read', (t) => {
  const memory = emptyMemory()
  const ledger = execLedger(memory)
  ledger.observe({ ...asRoot, healthcheck: true })
  t.deepEqual(memory.keys(''), [])
  t.is(ledger.entryOf(entered(execId)).by, 'exec')
  ledger.observe(asRoot)
  t.is(memory.keys('').length, 1)
  ledger.observe(containerGoes('removed'))
  t.deepEqual(memory.keys(''), [])
  memory.set(`exec/${container.id}`, 'broken')
  t.is(execLedger(memory).entryOf(entered(execId)).by, 'none')
})

test('who entered just before the container ended can still be judged, and who comes after it began again too', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(asRoot)
  ledger.observe(containerGoes('died', 10_100))
  ledger.observe(containerGoes('removed', 90_000))
  t.is(ledger.entryOf(entered(execId, 10_090)).by, 'exec')
  t.is(ledger.entryOf(entered('', 30_000)).by, 'none')
  ledger.observe({ ...asRoot, execId: 'f'.repeat(64), time: 30_000 })
  t.is(ledger.entryOf(entered('', 30_000)).by, 'time')
})

test('of a container’s many execs those that go on are kept before those that have ended', (t) => {
  const memory = emptyMemory()
  const ledger = execLedger(memory)
  const id = (n: number) => String(n).padStart(64, '0')
  ledger.observe({ ...asRoot, execId: id(0) })
  for (let n = 1; n < 1_000; n += 1) {
    ledger.observe({ ...asRoot, execId: id(n) })
    ledger.observe({ ...ended(11_000), execId: id(n) })
  }
  t.is(ledger.entryOf(entered(id(0), 99_000)).by, 'exec')
  t.is(ledger.entryOf(entered(id(1))).by, 'none')
  for (let n = 1_000; n < 2_000; n += 1) ledger.observe({ ...asRoot, execId: id(n) })
  t.true((memory.get(`exec/${container.id}`) ?? '').length < 100_000)
})

test('containers of which nobody tells the end are not remembered for ever', (t) => {
  const memory = emptyMemory()
  for (let n = 0; n < 1_200; n += 1) memory.set(`exec/${n}`, '[]')
  execLedger(memory)
  t.is(memory.keys('').length, 1_000)
})
