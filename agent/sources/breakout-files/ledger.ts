import type { BreakoutFile, BreakoutFileChange, BreakoutFileObservation } from '../../model/observation.ts'
import type { Cgroup } from '../processes/attribution/cgroup.ts'

/** What can be looked at, and what it held at a look. */
export type Place = {
  /** Names it for ever. */
  key: string
  file: BreakoutFile
  path: string
  /** One of a list: what is not there any more was removed, and what is new was added. */
  isListed?: true
}

export type Look = Place & { value: string | null }

/** Who the kernel says that it was. */
export type Doer = {
  pid: number
  /** Where the kernel tells it with the pid. */
  exact?: { startTicks: number; euid: number; cgroup: Cgroup }
}

/** Something that was done, before it is told who did it. */
export type Act = {
  place: Place
  change: BreakoutFileChange
  before: string | null | undefined
  after: string | null | undefined
  seenBy: BreakoutFileObservation['seenBy']
  doer: Doer | null
  /** Epoch milliseconds. */
  time: number
}

type Done = Pick<Act, 'time'> & { doer: Doer }

/** Makes one act of what the kernel tells and what is seen at a look; keeps what every place holds. */
export type Ledger = {
  /** The kernel is about to write a sysctl. */
  written(place: Place, before: string | null, after: string | null, done: Done): void
  /** Somebody wrote to a file, and this is what it holds since; undefined where it is gone with its place. */
  touched(look: Place & { value: string | null | undefined }, done: Done): void
  /** What everything held when we began. */
  begin(looks: readonly Look[]): void
  /** Everything is looked at, without cause. A place that is new is taken as it is, unless it is of a list. */
  looked(looks: readonly Look[], time: number): void
  /** What a place holds by what is known. */
  valueOf(key: string): string | null | undefined
  /** Those of lists that are there by what is known. */
  listed(): readonly Place[]
  isPending(): boolean
  /** Takes out what was done before a time, and sees by what the places hold now whether the kernel did as it was asked. */
  settle(before: number, valueNow: (place: Place) => string | null): Act[]
  /** Takes out how many acts there was no room for. */
  takeDropped(): number
}

// For each kind of file: a process that does nothing else writes a million times in a second, and must not hide
// what it does elsewhere.
const maxPending = 64

// Between opening a file and writing to it a process may have to wait for its turn.
const truncatedMs = 250

/**
 * Opening a file to write it anew is told as a write of its own, though a file of the kernel holds what it held: what
 * follows belongs to the same act.
 */
function isOver({ seenBy, change, before, time }: Act, until: number): boolean {
  const mayBeOpened = seenBy === 'fanotify' && (change === 'rewritten' || before === undefined)
  return time + (mayBeOpened ? truncatedMs : 0) <= until
}

/** Starts with nothing known. */
export function ledger(): Ledger {
  const known = new Map<string, Look>()
  // The last change of a place that the kernel seemed not to take: it may only have been slow.
  const refused = new Map<string, Act>()
  let pending: Act[] = []
  let dropped = 0

  function queue(act: Act): void {
    const ofKind = pending.filter(({ place }) => place.file === act.place.file).length
    if (ofKind < maxPending) pending.push(act)
    else dropped++
  }

  function written(place: Place, before: string | null, after: string | null, { time, doer }: Done): void {
    known.set(place.key, { ...place, value: after })
    const change = before === after ? 'rewritten' : 'changed'
    queue({ place, change, before, after, seenBy: 'bpf', doer, time })
  }

  function touched(
    { value: after, ...place }: Place & { value: string | null | undefined },
    { time, doer }: Done,
  ): void {
    const unknown = place.isListed === true ? null : undefined
    const before = known.has(place.key) ? valueOf(place.key) : unknown
    if (after !== undefined) known.set(place.key, { ...place, value: after })
    const change = before === after && after !== undefined ? 'rewritten' : 'changed'
    const act: Act = { place, change, before, after, seenBy: 'fanotify', doer, time }
    const last = pending.findLast((one) => one.place.key === place.key)
    const isSame = last?.seenBy === 'fanotify' && last.doer?.pid === doer.pid
    // A file is opened, written in pieces and closed: the same process is at the same act.
    if (!isSame) queue(act)
    else if (last.change === 'rewritten') Object.assign(last, { change, before: last.before, after })
    else if (change === 'changed' && last.before !== after) last.after = after
    else if (change === 'changed') queue(act)
  }

  function begin(looks: readonly Look[]): void {
    for (const look of looks) known.set(look.key, look)
  }

  function looked(looks: readonly Look[], time: number): void {
    const isPending = new Set(pending.map(({ place }) => place.key))
    const seen = new Set(looks.map(({ key }) => key))
    for (const { value, ...place } of looks) {
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
    else queue({ place, change: 'changed', before, after, seenBy: 'poll', doer: null, time })
  }

  function valueOf(key: string): string | null | undefined {
    return known.get(key)?.value
  }

  function settle(until: number, valueNow: (place: Place) => string | null): Act[] {
    const ready = pending.filter((act) => isOver(act, until))
    const told = ready.map((act) => {
      const isAsked = act.seenBy === 'bpf' && act.change === 'changed'
      return isAsked && wasRefused(act, valueNow) ? { ...act, change: 'refused' as const } : act
    })
    const isTold = new Set(ready)
    pending = pending.filter((act) => !isTold.has(act))
    return told
  }

  /** The next write finds what this one would have changed, or, if there is none, it is still there. */
  function wasRefused(act: Act, valueNow: (place: Place) => string | null): boolean {
    const { key } = act.place
    const next = pending.slice(pending.indexOf(act) + 1).find(({ place }) => place.key === key)
    if (next !== undefined) return next.before === act.before
    const now = valueNow(act.place)
    if (now !== act.before) return false
    known.set(key, { ...act.place, value: now })
    refused.set(key, act)
    return true
  }

  function takeDropped(): number {
    const count = dropped
    dropped = 0
    return count
  }

  return {
    begin,
    written,
    touched,
    looked,
    valueOf,
    listed: () => [...known.values()].filter(({ isListed, value }) => isListed === true && value !== null),
    isPending: () => pending.length > 0,
    settle,
    takeDropped,
  }
}
