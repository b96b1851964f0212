import { concatMap, type Observable, type OperatorFunction, scan } from 'rxjs'
import type { ContainerObservation, ResourceSample } from '../../agent/model/observation.ts'

/** Something observed about one container: a resource sample, or a lifecycle event. */
export type ContainerEvent = ResourceSample | ContainerObservation

/** Everything observed about one container. */
export type ContainerEvents = Observable<ContainerEvent>

/** Whether the container has no processes after this event. One that is found stopped died unobserved. */
export function isEnd(event: ContainerEvent): boolean {
  if (event.kind === 'resources') return false
  if (event.action === 'seen') return !isRunning(event)
  return event.action === 'died' || event.action === 'removed'
}

export function isRunning({ container }: ContainerEvent): boolean {
  return container.state === 'running' || container.state === 'paused'
}

/** A pure step from one state to the next that can emit any number of outputs. */
export type Step<State, Input, Output> = (state: State, input: Input) => readonly [State, readonly Output[]]

/** Runs a pure step over a stream and emits its outputs. */
export function scanSteps<State, Input, Output>(
  start: State,
  step: Step<State, Input, Output>,
): OperatorFunction<Input, Output> {
  const seed: readonly [State, readonly Output[]] = [start, []]
  return (input$) =>
    input$.pipe(
      scan(([state]: readonly [State, readonly Output[]], input: Input) => step(state, input), seed),
      concatMap(([, outputs]) => outputs),
    )
}
