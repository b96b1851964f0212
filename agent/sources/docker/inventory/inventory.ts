import {
  auditTime,
  defer,
  finalize,
  ignoreElements,
  interval,
  merge,
  type Observable,
  startWith,
  Subject,
  switchMap,
  tap,
} from 'rxjs'
import { messageOf } from '../../../lib/errors.ts'
import type { ContainerLookup } from '../../../model/container.ts'
import type { DockerEvent, Observation, SourceStatus } from '../../../model/observation.ts'
import type { Pulse, Source } from '../../../model/source.ts'
import { supervise } from '../../../lib/streams.ts'
import { createCallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { createContainerTracker } from './container-tracker.ts'
import type { StartOfProcess } from '../execs/exec-lifecycle.ts'
import { createExecTracker, type ExecTracker } from '../execs/execs.ts'
import { createLosses } from '../events/losses.ts'
import { sourceDown, sourceUp } from '../../../model/source-reports.ts'

export type InventoryOptions = {
  client: Pick<DockerClient, 'listContainers' | 'inspectContainer' | 'inspectExec'>
  /** The engine's events, live. */
  events$: Observable<DockerEvent>
  /** Emits when events may have been missed: the event stream was reconnected, or reports a gap. */
  reconcile$: Observable<unknown>
  startOf?: StartOfProcess
  /** Epoch milliseconds. */
  now: () => number
  pulse?: Pulse
}

export type Inventory = Source &
  Pick<ExecTracker, 'onNamed' | 'isBeingInspected'> & {
    view: ContainerLookup
  }

/** The host's containers and their execs, from events and inspects. */
export function containerInventory({
  client,
  events$,
  reconcile$,
  startOf = () => null,
  now,
  pulse = () => undefined,
}: InventoryOptions): Inventory {
  const observations$ = new Subject<Observation>()
  const losses = createLosses('containers')
  // Separate queues, so that a burst of execs does not delay container inspects.
  const containerCalls = createCallQueue(callLimits)
  const execCalls = createCallQueue(execCallLimits)

  const execs = createExecTracker({
    client,
    calls: execCalls,
    containerOf: (id) => containers.view.get(id),
    emit: (observation) => observations$.next(observation),
    lose: (reason) => losses.add(reason),
    startOf,
    now,
  })
  const containers = createContainerTracker({
    client,
    calls: containerCalls,
    emit(observation) {
      observations$.next(observation)
      execs.onContainer(observation.container)
    },
    lose: (reason) => losses.add(reason),
    onReconciled: (container) => execs.reconcile(container),
    now,
  })

  function onEvent(event: DockerEvent): void {
    containers.onEvent(event)
    execs.onEvent(event)
  }

  let again: NodeJS.Immediate | undefined

  function tick(): void {
    clearImmediate(again)
    if (execs.tick()) again = setImmediate(tick)
    for (const lost of losses.take(now())) observations$.next(lost)
  }

  function tidy(): void {
    pulse(nextTidyWithinMs)
    containers.tidy()
  }

  async function reconcile(): Promise<Observation> {
    const listed = await client.listContainers()
    await new Promise<void>((resolve) => containers.reconcile(listed, resolve))
    return status(now(), '')
  }

  function listingFailed(error: unknown): Observation {
    containers.listingFailed()
    return status(now(), messageOf(error))
  }

  // A new stream first delivers missed events, and they say more than a comparison can.
  const reconciled$ = reconcile$.pipe(
    startWith(undefined),
    auditTime(settleMs),
    switchMap(() => supervise(defer(reconcile), listingFailed)),
  )

  return {
    name: 'containers',
    view: containers.view,
    onNamed: execs.onNamed,
    isBeingInspected: execs.isBeingInspected,
    observe: () =>
      defer(() => {
        containerCalls.open()
        execCalls.open()
        const work$ = merge(
          events$.pipe(tap(onEvent)),
          interval(tickMs).pipe(tap(tick)),
          interval(tidyMs).pipe(tap(tidy)),
        )
        return merge(observations$, reconciled$, work$.pipe(ignoreElements()))
      }).pipe(
        finalize(() => {
          clearImmediate(again)
          containerCalls.close()
          execCalls.close()
        }),
      ),
  }
}

const callLimits = { concurrency: 8, limit: 5_000 }
// Some inspects block while an exec starts; a handful of them must not delay the others. The limit equals the number
// of execs that are remembered.
const execCallLimits = { concurrency: 32, limit: 10_000 }
const settleMs = 200
const tickMs = 250
const tidyMs = 5_000
const nextTidyWithinMs = 60_000

function status(time: number, problem: string): SourceStatus {
  return problem === '' ? sourceUp('containers', time, 'api') : sourceDown('containers', time, problem)
}
