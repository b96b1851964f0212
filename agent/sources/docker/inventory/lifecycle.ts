import type { Container, ContainerState } from '../../../model/container.ts'
import type { ContainerAction, ContainerObservation, DockerEvent } from '../../../model/observation.ts'
import { timeOf } from './details.ts'
import { containerOfEvent, containerOfInspect } from './identity.ts'
import { type JsonObject, objectOf } from '../../../lib/json-object.ts'

/** The result of an inspect: null if the container is gone, undefined without a request or a response. */
export type InspectResult = JsonObject | null | undefined

/** A change of a container, without the container. */
export type Change = Pick<ContainerObservation, 'action' | 'time' | 'exitCode' | 'previousName'>

/** Maps Docker events to our actions; all other events leave a container unchanged. */
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

/** Whether only an inspect shows the result of this action. */
export function needsInspect(action: ContainerAction): boolean {
  return !['oom', 'paused', 'unpaused', 'removed'].includes(action)
}

/** Whether it can have processes. */
export function isUp({ state }: Container): boolean {
  return state === 'running' || state === 'paused'
}

/** A container after an event: from an inspect, or else from the event alone. */
export function containerAfter(
  before: Container,
  event: DockerEvent,
  action: ContainerAction,
  result: InspectResult,
) {
  if (result) return containerOfInspect(result)
  const { name, engineName } = action === 'renamed' ? containerOfEvent(event) : before
  const state = result === null ? 'dead' : (stateAfter[action] ?? before.state)
  const after: Container = { ...before, name, engineName, state }
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

/** The information in an event that the container's state lacks. */
export function changeOfEvent(
  event: DockerEvent,
  action: ContainerAction,
  before: Container,
  result: InspectResult,
): Change {
  return {
    action,
    time: event.time,
    exitCode: action === 'died' ? exitCodeOf(event, before, result) : null,
    previousName: action === 'renamed' ? previousNameOf(event, before) : null,
  }
}

/** An image label named `exitCode` replaces the engine's own attribute. */
function exitCodeOf(
  { attributes }: DockerEvent,
  { labels }: Container,
  result: InspectResult,
): number | null {
  if (Object.hasOwn(labels, 'exitCode')) return result ? exitCodeOfInspect(result) : null
  return integerOf(attributes['exitCode'])
}

/** Parses a number in an event attribute; null if it is not one. */
export function integerOf(text: string | undefined): number | null {
  return text !== undefined && /^-?\d{1,9}$/.test(text) ? Number(text) : null
}

function exitCodeOfInspect(inspect: JsonObject): number | null {
  const state = objectOf(inspect['State'])
  const exitCode = state['ExitCode']
  return state['Running'] === false && typeof exitCode === 'number' ? exitCode : null
}

/** The inspect for another event may have shown the new name before this event was handled. */
function previousNameOf({ attributes }: DockerEvent, before: Container): string {
  if (before.engineName !== attributes['name']) return before.name
  return (attributes['oldName'] ?? '').replace(/^\//, '')
}

/** The last run of a container in epoch milliseconds; 0 for a start or an end that is unknown or still to come. */
export type Run = { start: number; end: number }

export function runOf(result: InspectResult): Run {
  const state = objectOf(result?.['State'])
  const start = timeOf(state['StartedAt'])
  return { start, end: state['Running'] === false ? timeOf(state['FinishedAt']) : 0 }
}

/** The changes between two inspects of a container that no event reported. */
export function missedChanges(
  before: Container,
  wasUp: boolean,
  result: InspectResult,
  now: number,
): Change[] {
  if (!result) return []
  const after = containerOfInspect(result)
  const run = runOf(result)
  const restarted = wasUp && isUp(after) && before.details !== null && before.details.startedAt !== run.start
  const changes: Change[] = []
  if (wasUp && !isUp(after)) changes.push(change('died', run.end || now, exitCodeOfInspect(result)))
  if (restarted) changes.push(change('died', run.start || now))
  if (restarted || (!wasUp && isUp(after))) changes.push(change('started', run.start || now))
  if (before.engineName !== after.engineName)
    changes.push({ ...change('renamed', now), previousName: before.name })
  if (JSON.stringify(before.details?.limits) !== JSON.stringify(after.details?.limits)) {
    changes.push(change('updated', now))
  }
  return changes
}

/** A change that no event reported. */
export function change(action: ContainerAction, time: number, exitCode: number | null = null): Change {
  return { action, time, exitCode, previousName: null }
}

/** Whether a comparison with the engine has already reported what this late event says. */
export function wasReported(
  { reported, reportedUp, reconciled }: { reported: boolean; reportedUp: boolean; reconciled: Run },
  action: ContainerAction,
  time: number,
): boolean {
  if (action === 'created') return reported
  if (action === 'started') return reportedUp && time < reconciled.start + eventDelayMs
  if (action === 'died') return time < Math.max(reconciled.start, reconciled.end + eventDelayMs)
  return false
}

// The engine sets StartedAt and FinishedAt some milliseconds before it publishes the event.
const eventDelayMs = 1_000
