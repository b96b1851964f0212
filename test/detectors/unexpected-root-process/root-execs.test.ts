import test from 'ava'
import type { ContainerObservation } from '../../../agent/model/observation.ts'
import { execLedger } from '../../../detectors/unexpected-root-process/root-execs.ts'
import { emptyMemory } from '../../support/observed.ts'
import { sampleContainer, sampleExec, sampleProcess } from '../../support/samples.ts'

const container = sampleContainer({ details: { user: '1000' } })
const execId = 'e'.repeat(64)
const asRoot = sampleExec({ container, execId, time: 10_000, settings: { user: '0' } })
const entered = (id: string, startedAt = 10_000) =>
  sampleProcess({
    container,
    origin: { via: 'entered', entry: { pid: 7, startTicks: 1, startedAt }, execId: id, by: [] },
  })
const removed: ContainerObservation = {
  kind: 'container',
  time: 20_000,
  action: 'removed',
  container,
  exitCode: null,
  previousName: null,
}

test('an exec explains what belongs to it by its id, and by time only what has none', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.started(asRoot)
  t.true(ledger.entryOf(entered(execId, 99_000)).asRoot)
  t.false(ledger.entryOf(entered('f'.repeat(64))).byExec)
  t.true(ledger.entryOf(entered('')).asRoot)
  t.true(ledger.entryOf(entered('', 99_000)).asRoot)
  ledger.ended({ kind: 'exec-ended', time: 12_000, container, execId, exitCode: 0 })
  t.false(ledger.entryOf(entered('', 99_000)).byExec)
  t.false(ledger.entryOf(sampleProcess({ container })).byExec)
})

test('an exec that goes on is known after a restart, when the engine has forgotten it', (t) => {
  const memory = emptyMemory()
  execLedger(memory).started(asRoot)
  const ledger = execLedger(memory)
  t.true(ledger.entryOf(entered(execId)).asRoot)
  t.true(ledger.entryOf(entered('', 99_000)).asRoot)
  ledger.ended({ kind: 'exec-ended', time: 12_000, container, execId, exitCode: 0 })
  t.false(execLedger(memory).entryOf(entered(execId)).byExec)
})

test('nothing is kept of health checks, of containers that are gone, and of what cannot be read', (t) => {
  const memory = emptyMemory()
  const ledger = execLedger(memory)
  ledger.started({ ...asRoot, healthcheck: true })
  t.deepEqual(memory.keys(''), [])
  ledger.started(asRoot)
  t.is(memory.keys('').length, 1)
  ledger.containerChanged(removed)
  t.deepEqual(memory.keys(''), [])
  memory.set(`exec/${container.id}`, 'broken')
  t.false(execLedger(memory).entryOf(entered(execId)).byExec)
})
