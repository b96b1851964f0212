import { concatMap, type Observable, type OperatorFunction, scan } from 'rxjs'
import type { ContainerObservation, ResourceSample } from '../../agent/model/observation.ts'

/** What is seen of one container's life: samples of what it uses, and what befalls it. */
export type Moment = ResourceSample | ContainerObservation

/** The stream of one container, or what is left of it. */
export type Life = Observable<Moment>

/** Whether the container has no processes after it; one found stopped died while nobody looked. */
export function isEnd(moment: Moment): boolean {
  if (moment.kind === 'resources') return false
  if (moment.action === 'seen') return !isRunning(moment)
  return moment.action === 'died' || moment.action === 'removed'
}

export function isRunning({ container }: Moment): boolean {
  return container.state === 'running' || container.state === 'paused'
}

/** A pure step from one state to the next that may say something, or several things, on the way. */
export type Step<State, Input, Output> = (state: State, input: Input) => readonly [State, readonly Output[]]

/** Walks a stream with a pure step and lets out what it says. */
export function walk<State, Input, Output>(
  start: State,
  step: Step<State, Input, Output>,
): OperatorFunction<Input, Output> {
  const seed: readonly [State, readonly Output[]] = [start, []]
  return (input$) =>
    input$.pipe(
      scan(([state]: readonly [State, readonly Output[]], input: Input) => step(state, input), seed),
      concatMap(([, said]) => said),
    )
}
