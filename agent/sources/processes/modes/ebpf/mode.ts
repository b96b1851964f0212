/**
 * Process events from eBPF programs, assembled here for the running kernel without a compiler.
 *
 * Reading order: `agent/linux/btf/` (the kernel's structure layouts). In `agent/ebpf/`: `assembler.ts` and
 * `program.ts` (machine code), `layout.ts` and `record.ts` (what records have in common), `blocks.ts`, `cgroups.ts`,
 * `paths.ts` and `budget.ts` (building blocks of programs), `loader.ts` (loads programs and owns their resources) and
 * `ring-poller.ts` (reads the ring buffer). Here: `exec/`, `fork/`, `exit/`, `oom-victim/` and `request/` (each a
 * program with its record layout and decoder), `attach.ts` (which of them this kernel supports), `decode.ts` (from
 * records to tracker events) and `losses.ts`.
 */
import type { Observation } from '../../../../model/observation.ts'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../../lib/errors.ts'
import { apiRequestOf } from '../../api-requests.ts'
import { noCredentialEvents, watchCredentialEvents } from '../credential-events.ts'
import { type Attached, type Mode, nextPulseWithinMs, type ModeContext } from '../mode.ts'
import { collector, type CollectorTask } from '../../../../lib/collector-task.ts'
import { runSelfTest } from '../self-test.ts'
import { scanProcesses } from '../scan.ts'
import { processTracker } from '../../tracker.ts'
import { attach } from './attach.ts'
import { recordTime } from '../../../../ebpf/record.ts'
import { recordDecoder } from './decode.ts'
import { pollRing } from '../../../../ebpf/ring-poller.ts'
import { lossReport } from './losses.ts'
import { requestProgramName } from './request/program.ts'
import type { Runtime } from '../../../../ebpf/loader.ts'

/** Observes every exec, fork and exit of the host, however short-lived the process, and counts lost events. */
export const ebpf: Mode = (context) =>
  collector<Observation | Attached>(async (emit, task) => {
    const { selfTestMs, pulse } = context
    const { signal, cleanUp } = task
    const tracker = processTracker({ ...context, emit })
    cleanUp(() => tracker.close())
    const { runtime, seesRequests, refused } = attach(context)
    cleanUp(() => runtime.close())
    const decoder = recordDecoder({
      ...tracker,
      requested(request, sinceBoot) {
        if (request.pid !== process.pid) emit(apiRequestOf(request, sinceBoot, context))
      },
    })
    const losses = lossReport(runtime, decoder, context, emit)
    let unreadable = 0
    let credentialEvents = noCredentialEvents
    let hasScanned = false
    const drain = (): boolean => {
      const isMore = runtime.drain((bytes, offset, length) => {
        credentialEvents.applyBefore(recordTime(bytes, offset))
        if (!decoder.decode(bytes, offset, length)) unreadable++
      }, sliceMs)
      if (!isMore) credentialEvents.applyBefore(Infinity)
      return isMore
    }
    // Not before the scan: while parents are unknown, a descendant of an exec would look as if it had entered by
    // itself.
    const read = pollRing(runtime, () => hasScanned && drain(), task)
    context.onCatchUp?.(read)
    cleanUp(() => context.onCatchUp?.(null))
    const lacking = [refused]
    try {
      credentialEvents = watchCredentialEvents(tracker, context, task, read)
    } catch (error) {
      lacking.push(
        `uid changes without an exec are seen late, because CAP_NET_ADMIN is missing: ${messageOf(error)}`,
      )
    }

    const scan = () => scanProcesses({ ...context, tracker, signal, beforeSlice: read })
    await scan()
    hasScanned = true
    read()
    if (seesRequests) publishApiWatch(runtime, read, context, task)
    await runSelfTest(context, { exits: true, signal })
    emit({ kind: 'attached', lacking: lacking.filter(Boolean).join('; ') })

    let testedAt = performance.now()
    let hadLost = false
    for (;;) {
      pulse(nextPulseWithinMs)
      await sleep(1_000, undefined, { signal })
      const hasLost = losses.report({ unreadable, lostIds: credentialEvents.takeLost() })
      unreadable = 0
      // Scan again a second later: a process may have started or exited unseen during the scan.
      if (hasLost || hadLost) await scan()
      hadLost = hasLost
      if (performance.now() - testedAt < selfTestMs) continue
      await runSelfTest(context, { exits: true, signal })
      testedAt = performance.now()
    }
  })

function publishApiWatch(
  runtime: Runtime,
  read: () => boolean,
  { now, onApiWatch }: ModeContext,
  { cleanUp }: CollectorTask,
): void {
  onApiWatch({
    since: now(),
    catchUp: () => !read(),
    lost() {
      const { ringFullOf, overBudget } = runtime.losses()
      return (ringFullOf[requestProgramName] ?? 0) + overBudget
    },
  })
  cleanUp(() => onApiWatch(null))
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 10
