import { distinctUntilChanged, map, merge, Observable, switchMap, timer } from 'rxjs'
import type { BootClock } from '../../../linux/boot-clock.ts'
import { kernelBtf } from '../../../linux/kernel-btf.ts'
import type { EventsLost, ExecObservation } from '../../../model/observation.ts'
import { readCoalesced } from '../../../ebpf/ring-poller.ts'
import { findHierarchy } from '../../../ebpf/hierarchy.ts'
import { type Runtime, startRuntime } from '../../../ebpf/loader.ts'
import { canSeeTransfers, receivedProgram, sentProgram } from './tcp-probes/program.ts'
import { decodeTransfer } from './tcp-probes/record.ts'
import { connectionsSeen, type ConnectionsSeen, type DescribeOwner } from './connection-log.ts'
import type { Listening } from './engine-ports.ts'

/** Who asks the engine by TCP, for one that can be asked so. */
export type TcpClients = Pick<ConnectionsSeen, 'startersOf' | 'activeBefore'> & {
  /** Watches for as long as somebody listens; tells of nothing but losses. */
  observe(): Observable<EventsLost>
  /** Takes in what the kernel has told until now; false when that is too much for one go. */
  catchUp(): boolean
  /** Whether no request by TCP for this exec can have been missed, as far as such can be read. */
  sawAll(exec: Pick<ExecObservation, 'time' | 'container'>): boolean
}

export type TcpClientsOptions = {
  /** Null while that cannot be told. */
  listening: () => Listening | null
  /** When to look again where the engine listens, beside every minute. */
  refind$: Observable<unknown>
  describe: DescribeOwner
  procRoot: string
  clock: BootClock
  /** Epoch milliseconds. */
  now: () => number
}

/** Attaches to the kernel while the engine listens on TCP ports, and only then: it costs every transfer of the host a little. */
export function tcpClients(options: TcpClientsOptions): TcpClients {
  const { listening, refind$, describe, procRoot, clock, now } = options
  const connections = connectionsSeen(describe)
  // Since when all of it is seen; an engine without a port is seen whole at all times.
  let since = Infinity
  let takeIn: () => boolean = () => false

  function watch(found: Listening | null): Observable<EventsLost> {
    return new Observable((subscriber) => {
      const lose = (reason: string, count: number) => {
        connections.doubt(now())
        subscriber.next({ kind: 'events-lost', time: now(), source: 'processes', reason, count })
      }
      since = found?.ports.length === 0 ? -Infinity : Infinity
      const runtime = found === null ? null : attach(found.ports, procRoot, () => lose('tcp-not-watched', 1))
      if (found === null || runtime === null) return undefined
      const closers = [() => runtime.close()]
      takeIn = readCoalesced(runtime, drainer(runtime, found, lose), {
        fail: (error) => subscriber.error(error),
        cleanUp: (close) => void closers.unshift(close),
      })
      since = now()
      return () => {
        since = Infinity
        takeIn = () => false
        for (const close of closers) close()
      }
    })
  }

  function drainer(runtime: Runtime, { pids }: Listening, lose: (reason: string, count: number) => void) {
    let lostBefore = 0
    return (): boolean => {
      const offset = clock.epochOffset()
      const isMore = runtime.drain((bytes, at, length) => {
        const transfer = decodeTransfer(bytes, at, length)
        if (transfer === null) return lose('unreadable', 1)
        // Whoever listens on the same port elsewhere is no engine of ours.
        if (transfer.way === 'received' && !pids.includes(transfer.pid)) return
        connections.add({ ...transfer, time: transfer.time + offset })
      }, sliceMs)
      const { requested } = runtime.losses()
      if (requested > lostBefore) lose('ring-full', requested - lostBefore)
      lostBefore = requested
      return isMore
    }
  }

  return {
    startersOf: connections.startersOf,
    activeBefore: connections.activeBefore,
    observe: () =>
      merge(timer(0, lookEveryMs), refind$).pipe(
        map(listening),
        distinctUntilChanged((a, b) => JSON.stringify(a) === JSON.stringify(b)),
        switchMap(watch),
      ),
    catchUp: () => !takeIn(),
    sawAll: (exec) => exec.time >= since && !takeIn() && !connections.isUnsure(exec),
  }
}

/** Null where there is nothing to watch, this kernel cannot tell, or will not. */
function attach(ports: readonly number[], procRoot: string, onRefused: () => void): Runtime | null {
  if (ports.length === 0) return null
  const btf = kernelBtf()
  if (!canSeeTransfers(btf)) return null
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

// 700 transfers; requests and, every 20 ms, each connection that is encrypted.
const ringBytes = 1 << 18

// An engine that is started anew is noticed at once; that it was told to listen elsewhere is not.
const lookEveryMs = 60_000

// The event loop is shared with everything else the daemon does.
const sliceMs = 5
