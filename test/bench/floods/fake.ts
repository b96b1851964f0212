import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ChurningEngine,
  churningEngine,
  type FakeContainer,
  randomId,
} from '../../support/churning-engine.ts'
import { type Bundle, type Bundled, startBundled } from '../bundled.ts'
import { type Flood, measured } from './measured.ts'

// Floods that a real engine cannot produce this fast or this large: a fake engine writes the events.

const execDetector = 'exec-into-container'

/** Execs in ten containers, as fast as the daemon reads their events from the socket. */
export function execBurst(bundle: Bundle, count: number): Promise<Flood> {
  return withEngine(bundle, async (engine, daemon) => {
    const containers = Array.from({ length: 10 }, (_, index) => container(`burst-${index}`))
    for (const one of containers) await engine.create(one)
    await sleep(2_000)
    return await measured(daemon, 'docker-events', async () => {
      const before = engine.sent()
      for (let n = 0; n < count; n += 1)
        await engine.exec(containers[n % 10] ?? container(''), ['true', String(n)])
      const name = `${count} execs at once`
      return { name, sent: engine.sent() - before, operations: count, detector: execDetector }
    })
  })
}

/** Containers that start, run one command and exit. */
export function containerLives(bundle: Bundle, count: number): Promise<Flood> {
  return withEngine(bundle, (engine, daemon) =>
    measured(daemon, 'docker-events', async () => {
      const before = engine.sent()
      for (let n = 0; n < count; n += 1) {
        const one = container(`life-${n}`)
        await engine.create(one)
        await engine.remove(one.id)
      }
      const name = `${count} containers come and go`
      // If inspected in time, each container causes a no-limits finding, because none of them has limits.
      return { name, sent: engine.sent() - before, operations: 0, detector: execDetector }
    }),
  )
}

/** A container with a label of this size, which is in each of its events. */
export function largeLabel(bundle: Bundle, bytes: number, events: number): Promise<Flood> {
  return withEngine(bundle, async (engine, daemon) => {
    const one = { ...container('label'), labels: { note: 'x'.repeat(bytes) } }
    await engine.create(one)
    await sleep(2_000)
    return await measured(daemon, 'docker-events', async () => {
      const before = engine.sent()
      for (let n = 0; n < events / 3; n += 1) await engine.exec(one, ['true', String(n)])
      const name = `a label of ${bytes / 2 ** 20} MiB, ${events} events`
      return { name, sent: engine.sent() - before, operations: Math.ceil(events / 3), detector: execDetector }
    })
  })
}

/** Many containers with a large label at the same time. */
export function largeLabels(bundle: Bundle, bytes: number, count: number): Promise<Flood> {
  return withEngine(bundle, (engine, daemon) =>
    measured(daemon, 'docker-events', async () => {
      const before = engine.sent()
      for (let n = 0; n < count; n += 1)
        await engine.create({ ...container(`label-${n}`), labels: { note: `${n} ${'x'.repeat(bytes)}` } })
      const name = `${count} containers with a label of ${bytes / 2 ** 20} MiB`
      return { name, sent: engine.sent() - before, operations: 0, detector: execDetector }
    }),
  )
}

/** The given number of bytes of events, evenly distributed or all at once: short ones, and execs of long commands. */
export function steadyStream(bundle: Bundle, bytes: number, seconds: number): Promise<Flood> {
  return withEngine(bundle, async (engine, daemon) => {
    const one = container('stream')
    await engine.create(one)
    await sleep(2_000)
    return await measured(daemon, 'docker-events', async () => {
      const before = engine.sent()
      const startedAt = performance.now()
      let [written, execs] = [0, 0]
      for (; written < bytes; execs += 1) {
        const argument = 'y'.repeat(execs % 10 === 0 ? 100_000 : 1_000)
        await engine.exec(one, ['echo', String(execs), argument])
        for (let n = 0; n < 5; n += 1) await engine.emit(one, 'resize')
        written += 2 * argument.length + 2_000
        const dueMs = (written / bytes) * seconds * 1_000
        if (seconds > 0) await sleep(Math.max(0, dueMs - (performance.now() - startedAt)))
      }
      const name = `${bytes / 1e6} MB of events ${seconds === 0 ? 'at once' : `in ${seconds} s`}`
      return { name, sent: engine.sent() - before, operations: execs, detector: execDetector }
    })
  })
}

async function withEngine(
  bundle: Bundle,
  work: (engine: ChurningEngine, daemon: Bundled) => Promise<Flood>,
): Promise<Flood> {
  const engine = await churningEngine()
  let daemon: Bundled | undefined
  try {
    daemon = await startBundled(bundle, { host: engine.host })
    await engine.attached()
    return await work(engine, daemon)
  } finally {
    await daemon?.stop()
    await engine.stop()
  }
}

function container(name: string): FakeContainer {
  return { id: randomId(), name, labels: { 'com.docker.compose.project': 'shop' } }
}
