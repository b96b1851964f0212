import type { Container, ContainerState } from '../../../model/container.ts'
import type { ContainerAction, ContainerObservation, DockerEvent } from '../../../model/observation.ts'
import { timeOf } from './details.ts'
import { containerOfEvent, containerOfInspect } from './identity.ts'
import { type JsonObject, objectOf } from '../../../lib/json-object.ts'

/** An inspect's answer: null when the container is gone, undefined when it was not asked or did not answer. */
export type Answer = JsonObject | null | undefined

/** What happened to a container, without the container. */
export type Change = Pick<ContainerObservation, 'action' | 'time' | 'exitCode' | 'previousName'>

/** The events that say what becomes of a container, in our words; all others leave it as it is. */
export const lifecycleActions: ReadonlyMap<string, ContainerAction> = new Map([
  ['create', 'created'],
  ['start', 'started'],
  ['die', 'died'],
  ['oom', 'oom'],
  ['pause', 'paused'],
  ['unpause', 'unpaused'],
  ['rename', 'renamed'],
  ['update', 'updated'],
  ['destroy', 'removed'],
])

/** Whether only an inspect can tell what became of a container by this. */
export function needsInspect(action: ContainerAction): boolean {
  return !['oom', 'paused', 'unpaused', 'removed'].includes(action)
}

/** Whether it has processes. */
export function isUp({ state }: Container): boolean {
  return state === 'running' || state === 'paused'
}

/** A container after an event: as an inspect shows it, or as far as the event alone tells. */
export function containerAfter(
  before: Container,
  event: DockerEvent,
  action: ContainerAction,
  answer: Answer,
) {
  if (answer) return containerOfInspect(answer)
  const name = action === 'renamed' ? containerOfEvent(event).name : before.name
  const state = answer === null ? 'dead' : (stateAfter[action] ?? before.state)
  const after: Container = { ...before, name, state }
  return isUp(after) || after.details === null ? after : { ...after, details: { ...after.details, pid: 0 } }
}

const stateAfter: Partial<Record<ContainerAction, ContainerState>> = {
  created: 'created',
  started: 'running',
  died: 'exited',
  paused: 'paused',
  unpaused: 'running',
  removed: 'dead',
}

/** What an event says that the container's state does not. */
export function changeOfEvent(
  event: DockerEvent,
  action: ContainerAction,
  before: Container,
  answer: Answer,
): Change {
  return {
    action,
    time: event.time,
    exitCode: action === 'died' ? exitCodeOf(event, before, answer) : null,
    previousName: action === 'renamed' ? previousNameOf(event, before) : null,
  }
}

/** An image's label called `exitCode` takes the place of the engine's own attribute. */
function exitCodeOf({ attributes }: DockerEvent, { labels }: Container, answer: Answer): number | null {
  if (Object.hasOwn(labels, 'exitCode')) return answer ? exitCodeOfInspect(answer) : null
  return integerOf(attributes['exitCode'])
}

/** A number that an event gives as text; null when it is none. */
export function integerOf(text: string | undefined): number | null {
  return text !== undefined && /^-?\d{1,9}$/.test(text) ? Number(text) : null
}

function exitCodeOfInspect(inspect: JsonObject): number | null {
  const state = objectOf(inspect['State'])
  const exitCode = state['ExitCode']
  return state['Running'] === false && typeof exitCode === 'number' ? exitCode : null
}

/** Another event's inspect may have told the new name before this event was looked at. */
function previousNameOf({ attributes }: DockerEvent, before: Container): string {
  if (before.name !== attributes['name']) return before.name
  return (attributes['oldName'] ?? '').replace(/^\//, '')
}

/** The last run of a container, epoch milliseconds: 0 for a start or an end that is not known or not yet. */
export type Run = { start: number; end: number }

export function runOf(answer: Answer): Run {
  const state = objectOf(answer?.['State'])
  const start = timeOf(state['StartedAt'])
  return { start, end: state['Running'] === false ? timeOf(state['FinishedAt']) : 0 }
}

/** What must have happened between two looks at a container although no event told. */
export function missedChanges(before: Container, wasUp: boolean, answer: Answer, now: number): Change[] {
  if (!answer) return []
  const after = containerOfInspect(answer)
  const run = runOf(answer)
  const restarted = wasUp && isUp(after) && before.details !== null && before.details.startedAt !== run.start
  const changes: Change[] = []
  if (wasUp && !isUp(after)) changes.push(change('died', run.end || now, exitCodeOfInspect(answer)))
  if (restarted) changes.push(change('died', run.start || now))
  if (restarted || (!wasUp && isUp(after))) changes.push(change('started', run.start || now))
  if (before.name !== after.name) changes.push({ ...change('renamed', now), previousName: before.name })
  if (JSON.stringify(before.details?.limits) !== JSON.stringify(after.details?.limits)) {
    changes.push(change('updated', now))
  }
  return changes
}

/** A change that no event told. */
export function change(action: ContainerAction, time: number, exitCode: number | null = null): Change {
  return { action, time, exitCode, previousName: null }
}
