import type { Container, ContainerState } from '../../../model/container.ts'
import { taskOf } from './identity.ts'

/** Gives containers names that no other has at the same time. */
export type TaskNames<Holder extends { container: Container }> = {
  /** Replaces what is known of a container. It and others may get a longer name. */
  update(holder: Holder, latest: Container): void
  /** The container was removed. */
  forget(holder: Holder): void
}

/**
 * While a Swarm service is updated, two tasks with the same service and slot can run. Under one name their series would
 * be mixed up, and the end of one would resolve the conditions of the other.
 */
export function createTaskNames<Holder extends { container: Container }>(
  onRenamed: (holder: Holder, previousName: string) => void,
): TaskNames<Holder> {
  const byBaseName = new Map<string, Set<Holder>>()

  function sharing({ container }: Holder): Set<Holder> {
    return byBaseName.get(baseNameOf(container)) ?? new Set()
  }

  function forget(holder: Holder): void {
    const others = sharing(holder)
    others.delete(holder)
    if (others.size === 0) byBaseName.delete(baseNameOf(holder.container))
  }

  function rename(holder: Holder, others: readonly Container[]): void {
    const previousName = holder.container.name
    const name = taskName(holder.container, others)
    if (name === previousName) return
    holder.container = { ...holder.container, name }
    onRenamed(holder, previousName)
  }

  return {
    update(holder, latest) {
      const before = holder.container
      forget(holder)
      holder.container = hasLongerName(before, latest) ? { ...latest, name: before.name } : latest
      const others = sharing(holder)
      const { container } = holder
      for (const other of others) rename(other, [container])
      rename(
        holder,
        [...others].map((other) => other.container),
      )
      byBaseName.set(baseNameOf(container), others.add(holder))
    },
    forget,
  }
}

/**
 * The name of a container next to others with the same service and slot. A task that runs although a newer one was
 * created gets the longer name and never loses it. Only creation times and ids decide, so that a restarted daemon
 * decides the same, also if the newer task has ended and is still listed.
 */
export function taskName(container: Container, others: readonly Container[]): string {
  const base = baseNameOf(container)
  const task = taskOf(container)
  if (task === null || container.name !== base || !liveStates.has(container.state)) return container.name
  if (!others.some((other) => isAhead(other, container))) return base
  const longer = longerName(base, task.id)
  const isTaken = others.some((other) => longerName(base, taskOf(other)?.id ?? '') === longer)
  return isTaken ? container.engineName : longer
}

/** Without a task id: what the tasks of one service and slot share. */
function baseNameOf(container: Container): string {
  return taskOf(container)?.slotName ?? container.engineName
}

function longerName(base: string, taskId: string): string {
  return `${base}.${taskId.slice(0, taskIdLength)}`
}

function hasLongerName(before: Container, latest: Container): boolean {
  return before.engineName === latest.engineName && before.name !== baseNameOf(before)
}

/** Whether the other has the better claim to the name: it is a newer task, or it really has that name. */
function isAhead(other: Container, container: Container): boolean {
  return taskOf(other) === null || isNewer(other, container)
}

function isNewer(one: Container, other: Container): boolean {
  if (one.createdAt === 0 || other.createdAt === 0) return false
  if (one.details === null || other.details === null) return seconds(one.createdAt) > seconds(other.createdAt)
  return one.createdAt === other.createdAt ? one.id > other.id : one.createdAt > other.createdAt
}

/** All that the engine's list contains. Within the same second, the inspects decide. */
function seconds(time: number): number {
  return Math.floor(time / 1_000)
}

const liveStates: ReadonlySet<ContainerState> = new Set(['created', 'running', 'paused', 'restarting'])

// Of 25; unique in a slot, and short enough for a column of a dashboard.
const taskIdLength = 6
