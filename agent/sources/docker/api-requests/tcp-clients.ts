import { distinctUntilChanged, map, merge, Observable, switchMap, timer } from 'rxjs'
import type { BootClock } from '../../../linux/boot-clock.ts'
import { kernelBtf } from '../../../linux/btf/kernel-btf.ts'
import type { EventsLost, ExecObservation } from '../../../model/observation.ts'
import { pollRing } from '../../../ebpf/ring-poller.ts'
import { findHierarchy } from '../../../ebpf/hierarchy.ts'
import { type Runtime, startRuntime } from '../../../ebpf/loader.ts'
import { supportsTcpProbes, receivedProgram, sentProgram } from './tcp-probes/program.ts'
import { decodeTransfer } from './tcp-probes/record.ts'
import { connectionLog, type ConnectionLog, type DescribeOwner } from './connection-log.ts'
import type { EngineListeners } from './engine-ports.ts'
import { eventsLost } from '../../../model/source-reports.ts'

/** The clients of an engine that listens on TCP. */
export type TcpClients = Pick<ConnectionLog, 'startersOf' | 'activeBefore'> & {
  /** Observes connections while subscribed; emits only losses. */
  observe(): Observable<EventsLost>
  /** Processes what the kernel has reported until now; false if that is too much for one call. */
  catchUp(): boolean
  /** Whether no readable TCP request for this exec can have been missed. */
  sawAll(exec: Pick<ExecObservation, 'time' | 'container'>): boolean
}

export type TcpClientsOptions = {
  /** Null while unknown. */
  listening: () => EngineListeners | null
  /** Emits when to check again where the engine listens, in addition to every minute. */
  recheck$: Observable<unknown>
  describe: DescribeOwner
  procRoot: string
  clock: BootClock
  /** Epoch milliseconds. */
  now: () => number
}

/** Attaches its probes only while the engine listens on TCP ports: they cost every transfer of the host a little. */
export function tcpClients(options: TcpClientsOptions): TcpClients {
  const { listening, recheck$, describe, procRoot, clock, now } = options
  const connections = connectionLog(describe)
  // Since when all traffic is observed; always, if the engine has no port.
  let since = Infinity
  let drainRing: () => boolean = () => false

  function watch(found: EngineListeners | null): Observable<EventsLost> {
    return new Observable((subscriber) => {
      const lose = (reason: string, count: number) => {
        connections.markUncertain(now())
        subscriber.next(eventsLost('processes', now(), reason, count))
      }
      since = found?.ports.length === 0 ? -Infinity : Infinity
      const runtime = found === null ? null : attach(found.ports, procRoot, () => lose('tcp-not-watched', 1))
      if (found === null || runtime === null) return undefined
      const resources = new DisposableStack()
      resources.defer(() => runtime.close())
      drainRing = pollRing(runtime, drainer(runtime, found, lose), {
        fail: (error) => subscriber.error(error),
        cleanUp: (close) => resources.defer(close),
      })
      since = now()
      return () => {
        since = Infinity
        drainRing = () => false
        resources.dispose()
      }
    })
  }

  function drainer(
    runtime: Runtime,
    { pids }: EngineListeners,
    lose: (reason: string, count: number) => void,
  ) {
    let lostBefore = 0
    return (): boolean => {
      const offset = clock.epochOffset()
      const isMore = runtime.drain((bytes, at, length) => {
        const transfer = decodeTransfer(bytes, at, length)
        if (transfer === null) return lose('unreadable', 1)
        // A listener on the same port in another network namespace is not our engine.
        if (transfer.way === 'received' && !pids.includes(transfer.pid)) return
        connections.add({ ...transfer, time: transfer.time + offset })
      }, sliceMs)
      const { ringFull } = runtime.losses()
      if (ringFull > lostBefore) lose('ring-full', ringFull - lostBefore)
      lostBefore = ringFull
      return isMore
    }
  }

  return {
    startersOf: connections.startersOf,
    activeBefore: connections.activeBefore,
    observe: () =>
      merge(timer(0, recheckEveryMs), recheck$).pipe(
        map(listening),
        distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
        switchMap(watch),
      ),
    catchUp: () => !drainRing(),
    sawAll: (exec) => exec.time >= since && !drainRing() && !connections.isUncertain(exec),
  }
}

/** Null if there is nothing to observe, or the kernel does not support the probes or refuses them. */
function attach(ports: readonly number[], procRoot: string, onRefused: () => void): Runtime | null {
  if (ports.length === 0) return null
  const btf = kernelBtf()
  if (!supportsTcpProbes(btf)) return null
  try {
    return startRuntime({
      btf,
      programs: [receivedProgram(ports), sentProgram(ports)],
      hierarchy: findHierarchy(procRoot),
      budget: 0,
      ringBytes,
    })
  } catch {
    onRefused()
    return null
  }
}

// Room for 700 records: one for each request and, every 20 ms, one for each encrypted connection.
const ringBytes = 1 << 18

// A restarted engine is noticed immediately; a change of its listening ports is not.
const recheckEveryMs = 60_000

// The event loop is shared with the rest of the daemon.
const sliceMs = 5
