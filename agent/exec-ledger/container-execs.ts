import type { KnownExec } from './known-exec.ts'

/** The execs of one container, by id, the oldest first. Health checks apart: they are many, and leave nothing running. */
export type ContainerExecs = {
  announced: Map<string, KnownExec>
  told: Map<string, KnownExec>
  healthchecks: Map<string, KnownExec>
}

/** Begins with none. */
export function noExecs(): ContainerExecs {
  return { announced: new Map(), told: new Map(), healthchecks: new Map() }
}

/** All of them, in no order. */
export function allOf({ announced, told, healthchecks }: ContainerExecs): KnownExec[] {
  return [announced, told, healthchecks].flatMap((execs) => [...execs.values()])
}

/** By an id that the engine's event may have named alone. */
export function find(execs: ContainerExecs, execId: string): KnownExec | undefined {
  return findTold(execs, execId) ?? execs.announced.get(execId)
}

/** By an id that the engine's inspection confirmed. */
export function findTold({ told, healthchecks }: ContainerExecs, execId: string): KnownExec | undefined {
  return told.get(execId) ?? healthchecks.get(execId)
}

/** Adds to one of the lists; what has ended makes room before what goes on, and before what it left running. */
export function put(
  execs: ContainerExecs,
  list: keyof ContainerExecs,
  execId: string,
  exec: KnownExec,
): void {
  const all = execs[list]
  all.set(execId, exec)
  if (all.size <= most[list]) return
  const ended = [...all].filter(([, { to }]) => to !== Infinity)
  const [first] = ended.find(([, { left }]) => left.length === 0) ?? ended[0] ?? []
  all.delete(first ?? all.keys().next().value ?? '')
}

// Of one container; a host has some hundreds of containers at most. Health checks may come ten in a second, and are asked
// for some seconds later.
const most = { announced: 200, told: 200, healthchecks: 200 }
