import type { BreakoutFile, BreakoutFileChange, BreakoutFileObservation } from '../../model/observation.ts'
import type { Cgroup } from '../processes/attribution/cgroup.ts'

/** A watched file. */
export type Place = {
  /** Identifies the file permanently. */
  key: string
  file: BreakoutFile
  path: string
  /** An entry of a directory: a missing entry was removed, a new one was added. */
  isListed?: true
}

/** A watched file and its value. */
export type PlaceState = Place & { value: string | null }

/** The process as the kernel reported it. */
export type Actor = {
  pid: number
  /** Set if the kernel reports it together with the pid. */
  exact?: { startTicks: number; euid: number; cgroup: Cgroup }
}

/** An operation on a watched file whose actor is not described yet. */
export type Operation = {
  place: Place
  change: BreakoutFileChange
  before: string | null | undefined
  after: string | null | undefined
  seenBy: BreakoutFileObservation['seenBy']
  actor: Actor | null
  /** Epoch milliseconds. */
  time: number
}

type By = Pick<Operation, 'time'> & { actor: Actor }

/** Combines kernel events and polled values into operations, one for each change. Stores the value of every place. */
export type Ledger = {
  /** The kernel is about to write a sysctl. */
  sysctlWritten(place: Place, before: string | null, after: string | null, by: By): void
  /** A process wrote to a file, whose new value this is; undefined if the file is gone. */
  fileWritten(state: Place & { value: string | null | undefined }, by: By): void
  /** Sets the values at the start. */
  start(states: readonly PlaceState[]): void
  /** Compares polled values. A new place is accepted as it is, unless it is listed. */
  polled(states: readonly PlaceState[], time: number): void
  /** The last known value. */
  valueOf(key: string): string | null | undefined
  /** Listed places known to exist. */
  listed(): readonly Place[]
  isPending(): boolean
  /** Removes and returns operations before a time, marking those that the current values show the kernel refused. */
  settle(before: number, valueNow: (place: Place) => string | null): Operation[]
  /** Returns and resets the number of operations dropped because the queue was full. */
  takeDropped(): number
}

// For each kind of file: one process can write a million times a second, which must not hide what it does elsewhere.
const maxPending = 64

// A process may be descheduled between opening a file and writing to it.
const truncatedMs = 250

/**
 * Opening a file with truncation is reported as a write, although a kernel file keeps its value: the write that
 * follows belongs to the same operation.
 */
function isOver({ seenBy, change, before, time }: Operation, until: number): boolean {
  const mayBeOpened = seenBy === 'fanotify' && (change === 'rewritten' || before === undefined)
  return time + (mayBeOpened ? truncatedMs : 0) <= until
}

export function ledger(): Ledger {
  const known = new Map<string, PlaceState>()
  // The last change of a place that the kernel seemed to refuse: it may only have been slow.
  const refused = new Map<string, Operation>()
  let pending: Operation[] = []
  let dropped = 0

  function queue(operation: Operation): void {
    const sameKind = pending.filter(({ place }) => place.file === operation.place.file).length
    if (sameKind < maxPending) pending.push(operation)
    else dropped++
  }

  function sysctlWritten(
    place: Place,
    before: string | null,
    after: string | null,
    { time, actor }: By,
  ): void {
    known.set(place.key, { ...place, value: after })
    const change = before === after ? 'rewritten' : 'changed'
    queue({ place, change, before, after, seenBy: 'bpf', actor, time })
  }

  function fileWritten(
    { value: after, ...place }: Place & { value: string | null | undefined },
    { time, actor }: By,
  ): void {
    const unknown = place.isListed === true ? null : undefined
    const before = known.has(place.key) ? valueOf(place.key) : unknown
    if (after !== undefined) known.set(place.key, { ...place, value: after })
    const change = before === after && after !== undefined ? 'rewritten' : 'changed'
    const operation: Operation = { place, change, before, after, seenBy: 'fanotify', actor, time }
    const last = pending.findLast((one) => one.place.key === place.key)
    const isSame = last?.seenBy === 'fanotify' && last.actor?.pid === actor.pid
    // A file is opened, written in pieces and closed: by one process, that is one operation.
    if (!isSame) queue(operation)
    else if (last.change === 'rewritten') Object.assign(last, { change, before: last.before, after })
    else if (change === 'changed' && last.before !== after) last.after = after
    else if (change === 'changed') queue(operation)
  }

  function start(states: readonly PlaceState[]): void {
    for (const state of states) known.set(state.key, state)
  }

  function polled(states: readonly PlaceState[], time: number): void {
    const isPending = new Set(pending.map(({ place }) => place.key))
    const seen = new Set(states.map(({ key }) => key))
    for (const { value, ...place } of states) {
      if (!isPending.has(place.key)) compare(place, value, time)
    }
    for (const { value: _value, ...place } of [...known.values()]) {
      if (seen.has(place.key) || isPending.has(place.key)) continue
      if (place.isListed === true) compare(place, null, time)
      known.delete(place.key)
      refused.delete(place.key)
    }
  }

  function compare(place: Place, after: string | null, time: number): void {
    const isNew = !known.has(place.key)
    const before = known.get(place.key)?.value ?? null
    known.set(place.key, { ...place, value: after })
    if (before === after || (isNew && place.isListed !== true)) return
    const slow = refused.get(place.key)
    refused.delete(place.key)
    if (slow?.after === after) queue({ ...slow, change: 'changed' })
    else queue({ place, change: 'changed', before, after, seenBy: 'poll', actor: null, time })
  }

  function valueOf(key: string): string | null | undefined {
    return known.get(key)?.value
  }

  function settle(until: number, valueNow: (place: Place) => string | null): Operation[] {
    const ready = pending.filter((operation) => isOver(operation, until))
    const settled = ready.map((operation) => {
      const mayBeRefused = operation.seenBy === 'bpf' && operation.change === 'changed'
      return mayBeRefused && wasRefused(operation, valueNow)
        ? { ...operation, change: 'refused' as const }
        : operation
    })
    const isReady = new Set(ready)
    pending = pending.filter((operation) => !isReady.has(operation))
    return settled
  }

  /** True if the next write, or without one the file itself, still shows the value from before this operation. */
  function wasRefused(operation: Operation, valueNow: (place: Place) => string | null): boolean {
    const { key } = operation.place
    const next = pending.slice(pending.indexOf(operation) + 1).find(({ place }) => place.key === key)
    if (next !== undefined) return next.before === operation.before
    const now = valueNow(operation.place)
    if (now !== operation.before) return false
    known.set(key, { ...operation.place, value: now })
    refused.set(key, operation)
    return true
  }

  function takeDropped(): number {
    const count = dropped
    dropped = 0
    return count
  }

  return {
    start,
    sysctlWritten,
    fileWritten,
    polled,
    valueOf,
    listed: () => [...known.values()].filter(({ isListed, value }) => isListed === true && value !== null),
    isPending: () => pending.length > 0,
    settle,
    takeDropped,
  }
}
