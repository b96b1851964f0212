import test from 'ava'
import { execLedger } from '../../agent/exec-ledger/ledger.ts'
import type {
  Caller,
  ContainerObservation,
  ExecEnded,
  ProcessObservation,
} from '../../agent/model/observation.ts'
import { dockerEvent } from '../support/docker-event.ts'
import { emptyMemory } from '../support/observed.ts'
import {
  sampleCaller,
  sampleContainer,
  sampleEnteringProcess,
  sampleExec,
  sampleProcess,
} from '../support/samples.ts'

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
const announcedBy = (action: string) =>
  dockerEvent(action, { actorId: container.id, attributes: { execID: execId } })

test('an exec explains processes by its id, and those without an id only by time', (t) => {
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
  t.is(by(entered(execId, 99_000)), 'none', 'the id is reused after the exec ended')
  t.is(by(entered(execId, 12_500)), 'exec')
  t.is(by(sampleProcess({ container })), 'none')
})

test('an exec that a process names is pending while the engine inspects it', (t) => {
  const ledger = execLedger(
    emptyMemory(),
    () => [],
    (id) => id === execId,
  )
  t.true(ledger.isPending(entered(execId)))
  t.false(ledger.isPending(entered('f'.repeat(64))))
})

test('an event explains an entry before the inspect, unless an image label can forge its exec id', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(announcedBy('exec_create'))
  t.is(ledger.entryOf(entered(execId)).by, 'none', 'created, and perhaps never started')
  ledger.observe(announcedBy('exec_start'))
  t.deepEqual(ledger.entryOf(entered(execId)), { by: 'exec', asRoot: true, privileged: true })
  t.true(ledger.isPending(entered(execId)), 'its user is not known yet')
  t.false(ledger.isPending(entered('f'.repeat(64))))
  const labelled = sampleContainer({ labels: { execID: execId } })
  t.is(ledger.entryOf({ ...entered(execId), container: labelled }).by, 'none')
  ledger.observe(sampleExec({ container, execId, time: 10_000, settings: { user: '1000' } }))
  t.deepEqual(ledger.entryOf(entered(execId)), { by: 'exec', asRoot: false, privileged: false })
  t.false(ledger.isPending(entered(execId)))
  ledger.observe(sampleExec({ container: labelled, execId, time: 10_000 }))
  t.is(ledger.entryOf({ ...entered(execId), container: labelled }).by, 'exec')
})

test('an exec is distinguished by its first process from entries while it runs', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(asRoot)
  ledger.observe(entered(execId, 10_050, 7))
  t.is(ledger.entryOf(entered('', 10_050, 7)).by, 'exec')
  t.is(ledger.entryOf(entered('', 10_060, 8)).by, 'none')
})

test('a process that claims an exec id on its command line does not belong to it, unless it is runc init', (t) => {
  const ledger = execLedger(emptyMemory())
  const { origin, ...rest } = entered(execId, 10_060, 8)
  const byOf = (...argv: string[]) =>
    ledger.entryOf({ ...rest, origin: { ...origin, by: [sampleEnteringProcess(argv)] } as typeof origin }).by
  ledger.observe(asRoot)
  t.is(byOf('nsenter', '-t', '1'), 'exec', 'the first entry is accepted, whatever it is')
  ledger.observe(entered(execId, 10_050, 7))
  t.is(byOf('nsenter', '-t', '1'), 'none')
  t.is(byOf('runc', 'init'), 'exec', 'the exec’s own first process may have been lost')
  t.is(ledger.entryOf(entered(execId, 10_050, 7)).by, 'exec')
})

test('the first process of an exec is known even if it is observed before the engine reports the exec', (t) => {
  const nsenter = (startedAt: number, pid: number): ProcessObservation => {
    const { origin, ...rest } = entered(execId, startedAt, pid)
    const by = [sampleEnteringProcess(['nsenter', '-t', '1'])]
    return { ...rest, origin: { ...origin, by } as typeof origin }
  }
  for (const reported of [asRoot, announcedBy('exec_start')]) {
    const ledger = execLedger(emptyMemory())
    // It names an exec that was created, and entered before that was started.
    ledger.observe(nsenter(reported.time - 5_000, 5))
    ledger.observe(entered(execId, reported.time, 7))
    ledger.observe(reported)
    t.is(ledger.entryOf(entered(execId, reported.time, 7)).by, 'exec')
    t.is(ledger.entryOf(nsenter(reported.time - 5_000, 5)).by, 'none')
    t.is(ledger.entryOf(nsenter(reported.time + 50, 8)).by, 'none')
  }
})

test('a process that claims the id of an exec whose pid the engine has reported does not belong to it', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(sampleExec({ container, execId, time: 10_000, settings: { pid: 7 } }))
  const { origin, ...rest } = entered(execId, 10_060, 8)
  const by = [sampleEnteringProcess(['nsenter', '-t', '1'])]
  t.is(ledger.entryOf({ ...rest, origin: { ...origin, by } as typeof origin }).by, 'none')
  t.is(ledger.entryOf(entered(execId, 10_060, 7)).by, 'exec')
})

test('a running exec is known after a restart, with its first process; an ended one is not', (t) => {
  const memory = emptyMemory()
  const before = execLedger(memory)
  before.observe(asRoot)
  before.observe(entered(execId, 10_050, 7))
  const ledger = execLedger(memory)
  t.deepEqual(ledger.entryOf(entered('', 10_050, 7)), { by: 'exec', asRoot: true, privileged: false })
  t.is(ledger.entryOf(entered('', 10_060, 8)).by, 'none')
  // An engine that still knows the exec reports it again.
  ledger.observe(asRoot)
  t.is(ledger.entryOf(entered('', 10_050, 7)).by, 'exec')
  ledger.observe(ended(12_000))
  t.is(execLedger(memory).entryOf(entered(execId)).by, 'none')
})

test('a caller that was not seen is no news of an exec of an earlier run', (t) => {
  const memory = emptyMemory()
  const reportedBy = (ledger: ReturnType<typeof execLedger>, caller: Caller) => {
    ledger.observe(asRoot)
    ledger.observe({ kind: 'exec-caller', time: 10_100, container, execId, caller })
    return ledger.factsOf(execId)?.caller
  }
  const unseen = sampleCaller({ confidence: 'unknown', client: 'unclear', process: null })
  t.is(reportedBy(execLedger(memory), unseen), unseen)
  t.is(reportedBy(execLedger(memory), unseen), null)
  const seen = sampleCaller()
  t.is(reportedBy(execLedger(memory), seen), seen)
})

test('health checks, removed containers and unreadable data are not stored', (t) => {
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

test('processes that an exec left running are known by their session, in this run and the next', (t) => {
  const memory = emptyMemory()
  // A process with its own session, and one without.
  const left = [
    { pid: 20, startTicks: 5 },
    { pid: 21, startTicks: 6 },
  ]
  const before = execLedger(memory, ({ pid }) => (pid === 7 ? left : []))
  before.observe(asRoot)
  before.observe(entered(execId, 10_050, 7))
  before.observe(ended(12_000))
  const after = execLedger(memory)
  // The engine repeats earlier events.
  after.observe(asRoot)
  after.observe(ended(12_000))
  for (const ledger of [before, after]) {
    const of = (pid: number, startTicks: number, session: number, runsSince = 9_000, id = container.id) =>
      ledger.execOfSession({ containerId: id, runsSince, process: { pid, startTicks, session } })
    const exec = { execId, entry: { pid: 7, startTicks: 1 } }
    t.deepEqual(of(21, 6, 7), exec)
    t.deepEqual(of(20, 5, 20), exec)
    t.deepEqual(of(22, 9, 7), exec, 'started since')
    t.deepEqual(of(23, 9, 20), exec, 'started since')
    t.is(of(22, 9, 1), null, 'the container’s own session')
    t.is(of(20, 99, 20), null, 'a reused pid')
    t.is(of(7, 99, 7), null, 'a reused pid')
    t.is(of(21, 6, 7, 30_000), null, 'the container was restarted')
    t.is(of(21, 6, 7, 9_000, 'f'.repeat(64)), null, 'another container')
    const found = { ...entered(execId, 10_050, 7), change: 'found' } as const
    t.deepEqual(ledger.entryOf(found), { by: 'exec', asRoot: true, privileged: false })
  }
})

test('processes that an exec left running are rescanned while they start others', (t) => {
  const scans: number[] = []
  let now = 0
  const ledger = execLedger(emptyMemory(), () => {
    scans.push(now)
    return []
  })
  const later = (time: number) => {
    now = time
    ledger.observe({ ...entered(execId, 10_050, 7), time })
  }
  ledger.observe(asRoot)
  later(10_050)
  now = 12_000
  ledger.observe(ended(12_000))
  for (let time = 12_001; time < 100_000; time += 7) later(time)
  t.is(scans[0], 12_000)
  t.true(scans.length > 5 && scans.length < 15)
  t.true((scans.at(-1) ?? 0) > 40_000)
})

test('of ended execs only those that left root processes running are stored, while the container runs', (t) => {
  const memoryAfter = (left: boolean, user: string) => {
    const memory = emptyMemory()
    const ledger = execLedger(memory, () => (left ? [{ pid: 20, startTicks: 5 }] : []))
    ledger.observe(sampleExec({ container, execId, time: 10_000, settings: { user } }))
    ledger.observe(entered(execId, 10_050, 7))
    ledger.observe(ended(12_000))
    return { memory, ledger }
  }
  t.is(memoryAfter(true, '0').memory.keys('').length, 1)
  t.is(memoryAfter(false, '0').memory.keys('').length, 0)
  t.is(memoryAfter(true, '1000').memory.keys('').length, 0)
  const { memory, ledger } = memoryAfter(true, '0')
  ledger.observe(containerGoes('died'))
  t.deepEqual(memory.keys(''), [])
})

test('entries just before the container ended can still be judged, and so can entries after its restart', (t) => {
  const ledger = execLedger(emptyMemory())
  ledger.observe(asRoot)
  ledger.observe(containerGoes('died', 10_100))
  ledger.observe(containerGoes('removed', 90_000))
  t.is(ledger.entryOf(entered(execId, 10_090)).by, 'exec')
  t.is(ledger.entryOf(entered('', 30_000)).by, 'none')
  ledger.observe({ ...asRoot, execId: 'f'.repeat(64), time: 30_000 })
  t.is(ledger.entryOf(entered('', 30_000)).by, 'time')
})

test('if a container has too many execs, ended ones are evicted before running ones', (t) => {
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

test('the number of stored containers is limited, because a missed removal is never reported', (t) => {
  const memory = emptyMemory()
  for (let n = 0; n < 1_200; n += 1) memory.set(`exec/${n}`, '[]')
  execLedger(memory)
  t.is(memory.keys('').length, 1_000)
})

test('an exec reported after its container is gone ends with it and is not stored', (t) => {
  const memory = emptyMemory()
  const ledger = execLedger(memory)
  ledger.observe(announcedBy('exec_start'))
  ledger.observe(containerGoes('died', 10_100))
  ledger.observe(containerGoes('removed', 10_200))
  ledger.observe(asRoot)
  t.deepEqual(memory.keys(''), [])
  t.deepEqual(ledger.entryOf(entered(execId, 10_090)), { by: 'exec', asRoot: true, privileged: false })
  t.is(ledger.entryOf(entered('', 30_000)).by, 'none')
})

test('removed containers do not evict running ones: they are forgotten after a minute', (t) => {
  const ledger = execLedger(emptyMemory())
  const of = (n: number) => sampleContainer({ id: String(n).padStart(64, '0') })
  const isKnown = (n: number) =>
    ledger.entryOf({ ...entered(execId, 10_000), container: of(n) }).by === 'exec'
  ledger.observe({ ...asRoot, container: of(0) })
  for (let n = 1; n <= 5_000; n += 1) {
    const time = 10_000 + n * 100
    ledger.observe({ ...containerGoes('died', time), container: of(n) })
    ledger.observe({ ...asRoot, container: of(n), time: 10_000 })
  }
  t.true(isKnown(0))
  const known = Array.from({ length: 5_000 }, (_, n) => n + 1).filter(isKnown)
  t.deepEqual([known[0], known.at(-1)], [4_400, 5_000])
})
