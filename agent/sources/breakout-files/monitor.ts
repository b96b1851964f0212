import { readlinkSync } from 'node:fs'
import { messageOf } from '../../lib/errors.ts'
import { onReadable } from '../../linux/poll.ts'
import type { Observation } from '../../model/observation.ts'
import { hierarchyWatch } from './hierarchy-watch.ts'
import { ledger } from './ledger.ts'
import {
  type BinfmtView,
  cgroupKey,
  fileReaders,
  openBinfmt,
  type Reader,
  sysctlReaders,
} from './file-readers.ts'
import { isAtWork, openSensors } from './sensors.ts'
import type { SysctlWrite } from './sysctl-writes/record.ts'
import { sysctls, valueAfter } from './sysctls.ts'
import { telling } from './reports.ts'
import type { Touch, TouchTarget } from './file-activity-watch.ts'
import { readValue } from './value.ts'
import type { Surroundings } from './context.ts'

type CgroupTarget = Extract<TouchTarget, { kind: 'cgroup' }>

// Whatever the kernel does not tell of is found within a second.
const lookMs = 1_000
// An act may go on, and the kernel carries a write out after it has told of it.
const settleMs = 10
const maxWaitMs = 1_000

/** Watches until the returned function is called; `fail` takes what makes it blind. */
export function watching(
  surroundings: Surroundings,
  emit: (observation: Observation) => void,
  fail: (error: unknown) => void,
): () => void {
  const { procRoot, preload, clock, now } = surroundings
  const abort = new AbortController()
  const closers: (() => void)[] = [() => abort.abort()]
  const book = ledger()
  const tell = telling(surroundings, emit)
  const ofSysctls = sysctlReaders(surroundings)
  const ofFiles = fileReaders(surroundings)
  const readers = new Map([...ofSysctls, ...ofFiles].map((reader) => [reader.place.key, reader]))
  let binfmt: BinfmtView | null = null
  let settleTimer: NodeJS.Timeout | undefined
  let isFirst = true
  let before = { lost: 0, unreadable: 0 }

  const listener = { touched, lost: (reason: string) => tell.lose(reason, 1), failed: fail }
  const sensors = openSensors(surroundings, listener, surroundings.sensors)
  const { sysctls: watch, touches } = sensors
  const hierarchies = hierarchyWatch({ ...surroundings, touches, signal: abort.signal, fail })
  closers.push(
    () => watch?.close(),
    () => touches?.close(),
    () => binfmt?.close(),
    () => clearTimeout(settleTimer),
  )
  try {
    begin()
  } catch (error) {
    close()
    throw error
  }
  return close

  function begin(): void {
    if (watch !== null) {
      const polling = onReadable(watch.fd, guarded(drain))
      closers.unshift(() => polling.close())
    }
    const timer = setInterval(guarded(look), lookMs)
    closers.push(() => clearInterval(timer))
    look()
  }

  function close(): void {
    for (const undo of closers.splice(0)) undo()
  }

  function guarded(work: () => unknown): () => void {
    return () => {
      try {
        if (!abort.signal.aborted) work()
      } catch (error) {
        fail(error)
      }
    }
  }

  /** True when there is more, which is told soon. */
  function drain(): boolean {
    const isMore = watch?.drain(written) === true
    if (isMore) setImmediate(guarded(drain))
    return isMore
  }

  /** The kernel's word of what is about to happen. */
  function written({ index, pid, startTicks, euid, cgroup, sinceBoot, ...write }: SysctlWrite): void {
    const sysctl = sysctls[index]
    const place = ofSysctls[index]?.place
    if (sysctl === undefined || place === undefined) return
    const after = valueAfter(write.before ?? '', write.written, write.position, sysctl.bytes)
    const doer = { pid, exact: { startTicks, euid, cgroup } }
    book.written(place, write.before || null, after || null, { doer, time: sinceBoot + clock.epochOffset() })
    settleSoon()
  }

  function touched({ pid, target }: Touch): void {
    if (target.kind === 'file') touchedFile(pid, target.path)
    else if (target.kind === 'binfmt') touchedBinfmt(pid)
    else touchedCgroup(pid, target)
    settleSoon()
  }

  function touchedFile(pid: number, path: string): void {
    const reader = ofFiles.find(({ place }) => place.path === path)
    if (reader === undefined) return
    const seen = { ...reader.place, value: reader.read() }
    // A list of libraries that is opened, or written as it was, is nothing new; the kernel's own files act when written.
    const isNew = seen.file !== 'ld_so_preload' || seen.value !== book.valueOf(seen.key)
    if (isNew) book.touched(seen, doneBy(pid))
  }

  function touchedCgroup(pid: number, { hierarchy, directory, name }: CgroupTarget): void {
    const file = name === 'release_agent' ? 'release_agent' : 'notify_on_release'
    const path = `${directory === null ? hierarchy : readlinkSync(directory)}/${file}`
    const value = directory === null ? undefined : readValue(`${directory}/${file}`)
    book.touched({ key: cgroupKey(hierarchy, path), file, path, value }, doneBy(pid))
  }

  function touchedBinfmt(pid: number): void {
    const looks = binfmt?.look() ?? []
    const isThere = new Set(looks.map(({ key }) => key))
    const gone = book.listed().filter(({ key }) => !isThere.has(key))
    for (const entry of [...looks, ...gone.map((place) => ({ ...place, value: null }))]) {
      if (entry.value !== (book.valueOf(entry.key) ?? null)) book.touched(entry, doneBy(pid))
    }
  }

  function doneBy(pid: number) {
    return { doer: { pid }, time: now() }
  }

  function settleSoon(): void {
    settleTimer ??= setTimeout(guarded(settle), settleMs)
  }

  function settle(): void {
    clearTimeout(settleTimer)
    settleTimer = undefined
    drain()
    // Who did it may have begun to run just before: it is waited for, but not for ever.
    const waitMs = surroundings.isBehind() ? maxWaitMs : settleMs / 2
    const acts = book.settle(now() - waitMs, ({ key }) => readers.get(key)?.read() ?? null)
    for (const act of acts) tell.act(act, hierarchies.hostAgentOf)
    if (book.isPending()) settleSoon()
  }

  /** At everything, also at what the kernel would have told of: one of the two may be wrong. */
  function look(): void {
    if (watch !== null && !isAtWork(watch, procRoot))
      throw new Error('the program in the kernel does not see what is read any more')
    const problems = mark()
    hierarchies.look()
    for (const found of hierarchies.takeNew()) tell.hierarchy(found)
    const all: Reader[] = [...readers.values(), ...hierarchies.readers()]
    const looks = all.map(({ place, read }) => ({ ...place, value: read() }))
    const looksWithLists = [...looks, ...(binfmt?.look() ?? [])]
    // What was done meanwhile is left to those who were told of it.
    const isMore = [drain(), touches?.drain()].includes(true)
    if (isFirst) book.begin(looksWithLists)
    else if (!isMore) book.looked(looksWithLists, now())
    isFirst = false
    settle()
    countLosses()
    tell.everySecond()
    tell.status(sensors.mode, [...sensors.lacking, ...problems, ...hierarchies.problems()])
  }

  /** Asks to be told of what has come since. */
  function mark(): string[] {
    const problems: string[] = []
    const note = (path: string, problem: string | undefined) => {
      if (problem) problems.push(`${path} is looked at each second only: ${problem}`)
    }
    note(preload, touches?.watchEntry(preload))
    for (const { place, read } of ofFiles)
      if (read() !== null) note(place.path, touches?.watchFile(place.path))
    try {
      binfmt ??= openBinfmt(procRoot)
      if (binfmt !== null) note('binfmt_misc', touches?.watchBinfmt(binfmt.root))
    } catch (error) {
      problems.push(
        `what is registered in binfmt_misc cannot be seen without CAP_SYS_ADMIN: ${messageOf(error)}`,
      )
    }
    return problems
  }

  function countLosses(): void {
    const counts = { lost: watch?.lost() ?? 0, unreadable: watch?.unreadable() ?? 0 }
    tell.lose('ring-full', counts.lost - before.lost)
    tell.lose('unreadable', counts.unreadable - before.unreadable)
    tell.lose('too-many', book.takeDropped())
    before = counts
  }
}
