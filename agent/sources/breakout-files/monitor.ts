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
import { isWorking, openSensors } from './sensors.ts'
import type { SysctlWrite } from './sysctl-writes/record.ts'
import { sysctls, valueAfter } from './sysctls.ts'
import { reporter } from './reporter.ts'
import type { FileActivity, ActivityTarget } from './file-activity-watch.ts'
import { readValue } from './value.ts'
import type { SourceContext } from './source-context.ts'

type CgroupTarget = Extract<ActivityTarget, { kind: 'cgroup' }>

// Changes that the kernel does not report are found within a second.
const pollMs = 1_000
// An operation may consist of several events, and the kernel reports a write before it carries it out.
const settleMs = 10
const maxWaitMs = 1_000

/** Watches until the returned function is called. `fail` receives errors that stop the monitoring. */
export function monitor(
  context: SourceContext,
  emit: (observation: Observation) => void,
  fail: (error: unknown) => void,
): () => void {
  const { procRoot, preload, clock, now } = context
  const abort = new AbortController()
  const resources = new DisposableStack()
  const book = ledger()
  const report = reporter(context, emit)
  const sysctlFiles = sysctlReaders(context)
  const otherFiles = fileReaders(context)
  const readers = new Map([...sysctlFiles, ...otherFiles].map((reader) => [reader.place.key, reader]))
  let binfmt: BinfmtView | null = null
  let settleTimer: NodeJS.Timeout | undefined
  let isFirst = true
  let before = { lost: 0, unreadable: 0 }

  const listener = { onActivity, lost: (reason: string) => report.lose(reason, 1), failed: fail }
  const sensors = openSensors(context, listener, context.sensors)
  const { sysctls: watch, fileActivity } = sensors
  const hierarchies = hierarchyWatch({ ...context, fileActivity, signal: abort.signal, fail })
  resources.defer(() => clearTimeout(settleTimer))
  resources.defer(() => binfmt?.close())
  resources.defer(() => fileActivity?.close())
  resources.defer(() => watch?.close())
  resources.defer(() => abort.abort())
  try {
    start()
  } catch (error) {
    close()
    throw error
  }
  return close

  function start(): void {
    if (watch !== null) {
      const polling = onReadable(watch.fd, guarded(drain))
      resources.defer(() => polling.close())
    }
    const timer = setInterval(guarded(poll), pollMs)
    resources.defer(() => clearInterval(timer))
    poll()
  }

  function close(): void {
    resources.dispose()
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

  /** True when more writes remain; they are processed soon. */
  function drain(): boolean {
    const isMore = watch?.drain(onSysctlWrite) === true
    if (isMore) setImmediate(guarded(drain))
    return isMore
  }

  /** The kernel reports a write before it carries it out. */
  function onSysctlWrite({ index, pid, startTicks, euid, cgroup, sinceBoot, ...write }: SysctlWrite): void {
    const sysctl = sysctls[index]
    const place = sysctlFiles[index]?.place
    if (sysctl === undefined || place === undefined) return
    const after = valueAfter(write.before ?? '', write.written, write.position, sysctl.bytes)
    const actor = { pid, exact: { startTicks, euid, cgroup } }
    book.sysctlWritten(place, write.before || null, after || null, {
      actor,
      time: sinceBoot + clock.epochOffset(),
    })
    settleSoon()
  }

  function onActivity({ pid, target }: FileActivity): void {
    if (target.kind === 'file') onFileActivity(pid, target.path)
    else if (target.kind === 'binfmt') onBinfmtActivity(pid)
    else onCgroupActivity(pid, target)
    settleSoon()
  }

  function onFileActivity(pid: number, path: string): void {
    const reader = otherFiles.find(({ place }) => place.path === path)
    if (reader === undefined) return
    const state = { ...reader.place, value: reader.read() }
    // Opening ld.so.preload, or writing the same value, changes nothing. Kernel files act on every write.
    const matters = state.file !== 'ld_so_preload' || state.value !== book.valueOf(state.key)
    if (matters) book.fileWritten(state, doneBy(pid))
  }

  function onCgroupActivity(pid: number, { hierarchy, directory, name }: CgroupTarget): void {
    const file = name === 'release_agent' ? 'release_agent' : 'notify_on_release'
    const path = `${directory === null ? hierarchy : readlinkSync(directory)}/${file}`
    const value = directory === null ? undefined : readValue(`${directory}/${file}`)
    book.fileWritten({ key: cgroupKey(hierarchy, path), file, path, value }, doneBy(pid))
  }

  function onBinfmtActivity(pid: number): void {
    const present = binfmt?.read() ?? []
    const keys = new Set(present.map(({ key }) => key))
    const removed = book.listed().filter(({ key }) => !keys.has(key))
    for (const entry of [...present, ...removed.map((place) => ({ ...place, value: null }))]) {
      if (entry.value !== (book.valueOf(entry.key) ?? null)) book.fileWritten(entry, doneBy(pid))
    }
  }

  function doneBy(pid: number) {
    return { actor: { pid }, time: now() }
  }

  function settleSoon(): void {
    settleTimer ??= setTimeout(guarded(settle), settleMs)
  }

  function settle(): void {
    clearTimeout(settleTimer)
    settleTimer = undefined
    drain()
    // The actor may have started just before: wait until the process table knows it, with a limit.
    const waitMs = context.isBehind() ? maxWaitMs : settleMs / 2
    const operations = book.settle(now() - waitMs, ({ key }) => readers.get(key)?.read() ?? null)
    for (const operation of operations) report.operation(operation, hierarchies.hostAgentOf)
    if (book.isPending()) settleSoon()
  }

  /** Reads every file, including those the kernel reports writes to: either mechanism may miss something. */
  function poll(): void {
    if (watch !== null && !isWorking(watch, procRoot))
      throw new Error('the eBPF program no longer sees accesses to sysctls')
    const problems = addWatches()
    hierarchies.refresh()
    for (const found of hierarchies.takeNew()) report.hierarchy(found)
    const all: Reader[] = [...readers.values(), ...hierarchies.readers()]
    const files = all.map(({ place, read }) => ({ ...place, value: read() }))
    const states = [...files, ...(binfmt?.read() ?? [])]
    // Changes made meanwhile are left to the sensors, which also know the actor.
    const isMore = [drain(), fileActivity?.drain()].includes(true)
    if (isFirst) book.start(states)
    else if (!isMore) book.polled(states, now())
    isFirst = false
    settle()
    countLosses()
    report.everySecond()
    report.status(sensors.mode, [...sensors.lacking, ...problems, ...hierarchies.problems()])
  }

  /** Watches files that have appeared since; returns what cannot be watched. */
  function addWatches(): string[] {
    const problems: string[] = []
    const note = (path: string, problem: string | undefined) => {
      if (problem) problems.push(`${path} is only polled every second: ${problem}`)
    }
    note(preload, fileActivity?.watchEntry(preload))
    for (const { place, read } of otherFiles)
      if (read() !== null) note(place.path, fileActivity?.watchFile(place.path))
    try {
      binfmt ??= openBinfmt(procRoot)
      if (binfmt !== null) note('binfmt_misc', fileActivity?.watchBinfmt(binfmt.root))
    } catch (error) {
      problems.push(`binfmt_misc registrations cannot be read without CAP_SYS_ADMIN: ${messageOf(error)}`)
    }
    return problems
  }

  function countLosses(): void {
    const counts = { lost: watch?.lost() ?? 0, unreadable: watch?.unreadable() ?? 0 }
    report.lose('ring-full', counts.lost - before.lost)
    report.lose('unreadable', counts.unreadable - before.unreadable)
    report.lose('too-many', book.takeDropped())
    before = counts
  }
}
