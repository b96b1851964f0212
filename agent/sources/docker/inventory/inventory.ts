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
import { createExecTracker, type ExecTracker } from '../execs/execs.ts'
import { createLosses } from '../events/losses.ts'

export type InventoryOptions = {
  client: Pick<DockerClient, 'listContainers' | 'inspectContainer' | 'inspectExec'>
  /** The engine's events, as they come. */
  events$: Observable<DockerEvent>
  /** When events may have been missed: the event stream was attached again, or says that there is a gap. */
  reconcile$: Observable<unknown>
  /** Epoch milliseconds. */
  now: () => number
  pulse?: Pulse
}

export type Inventory = Source &
  Pick<ExecTracker, 'onNamed' | 'isAskedFor'> & {
    view: ContainerLookup
  }

/** The containers of the host and the execs in them, from events and from what the engine answers about them. */
export function containerInventory({
  client,
  events$,
  reconcile$,
  now,
  pulse = () => undefined,
}: InventoryOptions): Inventory {
  const said$ = new Subject<Observation>()
  const losses = createLosses('containers')
  // Apart, so that a flood of execs does not hold up what is known of containers.
  const containerCalls = createCallQueue(callLimits)
  const execCalls = createCallQueue(execCallLimits)

  const execs = createExecTracker({
    client,
    calls: execCalls,
    containerOf: (id) => containers.view.get(id),
    emit: (observation) => said$.next(observation),
    lose: (reason) => losses.add(reason),
    now,
  })
  const containers = createContainerTracker({
    client,
    calls: containerCalls,
    emit(observation) {
      said$.next(observation)
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
    for (const lost of losses.take(now())) said$.next(lost)
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

  // Events that were missed come first with a new stream, and say more than a comparison can.
  const reconciled$ = reconcile$.pipe(
    startWith(undefined),
    auditTime(settleMs),
    switchMap(() => supervise(defer(reconcile), listingFailed)),
  )

  return {
    name: 'containers',
    view: containers.view,
    onNamed: execs.onNamed,
    isAskedFor: execs.isAskedFor,
    observe: () =>
      defer(() => {
        containerCalls.open()
        execCalls.open()
        const work$ = merge(
          events$.pipe(tap(onEvent)),
          interval(tickMs).pipe(tap(tick)),
          interval(tidyMs).pipe(tap(tidy)),
        )
        return merge(said$, reconciled$, work$.pipe(ignoreElements()))
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
// Some of these wait while an exec starts; the others should not wait for a handful of them.
// As many as execs are remembered.
const execCallLimits = { concurrency: 32, limit: 10_000 }
const settleMs = 200
const tickMs = 250
const tidyMs = 5_000
const nextTidyWithinMs = 60_000

function status(time: number, trouble: string): SourceStatus {
  const up = trouble === ''
  return {
    kind: 'source-status',
    time,
    source: 'containers',
    up,
    mode: up ? 'api' : '',
    best: up,
    reason: trouble,
  }
}
