import type { KnownExec } from './known-exec.ts'

/**
 * The execs of one container by id, oldest first. Health checks are separate: they are many, and leave nothing
 * running.
 */
export type ContainerExecs = {
  /** Known from a Docker event only. */
  announced: Map<string, KnownExec>
  /** Inspected, or as complete as they will get. */
  reported: Map<string, KnownExec>
  healthchecks: Map<string, KnownExec>
}

export function noExecs(): ContainerExecs {
  return { announced: new Map(), reported: new Map(), healthchecks: new Map() }
}

/** In no particular order. */
export function allExecs({ announced, reported, healthchecks }: ContainerExecs): KnownExec[] {
  return [announced, reported, healthchecks].flatMap((execs) => [...execs.values()])
}

/** By an id that only the engine's event may have named. */
export function findExec(execs: ContainerExecs, execId: string): KnownExec | undefined {
  return findReported(execs, execId) ?? execs.announced.get(execId)
}

/** By an id that the engine's inspection confirmed. */
export function findReported(
  { reported, healthchecks }: ContainerExecs,
  execId: string,
): KnownExec | undefined {
  return reported.get(execId) ?? healthchecks.get(execId)
}

/** Adds to one list. Evicts ended execs that left nothing running first, then other ended ones, then the oldest. */
export function addExec(
  execs: ContainerExecs,
  list: keyof ContainerExecs,
  execId: string,
  exec: KnownExec,
): void {
  const all = execs[list]
  all.set(execId, exec)
  if (all.size <= maxExecs[list]) return
  const ended = [...all].filter(([, { to }]) => to !== Infinity)
  const [first] = ended.find(([, { left }]) => left.length === 0) ?? ended[0] ?? []
  all.delete(first ?? all.keys().next().value ?? '')
}

// Per container; a host has at most some hundreds of containers. Health checks may run ten times a second, and are
// looked up some seconds later.
const maxExecs = { announced: 200, reported: 200, healthchecks: 200 }
