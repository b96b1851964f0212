import type { Observation } from '../../../../model/observation.ts'
/**
 * Processes told by the kernel itself: programs assembled here for the running kernel, without a compiler.
 *
 * To be read in this order: `../../kernel/btf.ts` (how this kernel lays out its structures), `assembler.ts` and
 * `program.ts` (machine code), `layout.ts` (what a record looks like), `blocks.ts`, `cgroups.ts`, `paths.ts` and
 * `budget.ts` (what programs are made of), `exec.ts`, `fork.ts`, `exit.ts` and `oom-victim.ts` (the programs), `request.ts` with
 * `socket-text.ts` and `written.ts` (the one that is told of sockets),
 * `runtime.ts` (which loads any such program and owns what it needs), `attach.ts` (which of them this kernel gets),
 * `../../kernel/ring.ts` and `coalesced.ts` (how records come out), `decode.ts`. `transfer.ts` is for
 * `../../docker/tcp-clients.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../../../../lib/errors.ts'
import { apiRequestOf } from '../../api-requests.ts'
import { noIdsWatch, watchIds } from '../credential-events.ts'
import { type Attached, type Mode, nextTurnWithinMs, type Surroundings } from '../mode.ts'
import { collector, type CollectorTask } from '../../../../lib/collector-task.ts'
import { prove } from '../self-test.ts'
import { scanProcesses } from '../scan.ts'
import { processTracker } from '../../tracker.ts'
import { attach } from './attach.ts'
import { recordDecoder, recordTime } from './decode.ts'
import { readCoalesced } from '../../../../ebpf/ring-poller.ts'
import { lossReport } from './losses.ts'
import type { Runtime } from '../../../../ebpf/loader.ts'

/** Sees every exec, fork and exit of the host, however short, and counts what it could not be told. */
export const ebpf: Mode = (surroundings) =>
  collector<Observation | Attached>(async (emit, task) => {
    const { proveMs, pulse } = surroundings
    const { signal, cleanUp } = task
    const tracker = processTracker({ ...surroundings, emit })
    cleanUp(() => tracker.close())
    const { runtime, seesRequests, refused } = attach(surroundings)
    cleanUp(() => runtime.close())
    const decoder = recordDecoder({
      ...tracker,
      requested(request, sinceBoot) {
        if (request.pid !== process.pid) emit(apiRequestOf(request, sinceBoot, surroundings))
      },
    })
    const losses = lossReport(runtime, decoder, surroundings, emit)
    let unreadable = 0
    let ids = noIdsWatch
    let hasScanned = false
    const drain = (): boolean => {
      const isMore = runtime.drain((bytes, offset, length) => {
        ids.applyBefore(recordTime(bytes, offset))
        if (!decoder.decode(bytes, offset, length)) unreadable++
      }, sliceMs)
      if (!isMore) ids.applyBefore(Infinity)
      return isMore
    }
    // What children do tells nothing as long as their parents are not known: a descendant of an exec would pass for
    // one who came in by itself.
    const read = readCoalesced(runtime, () => hasScanned && drain(), task)
    surroundings.onCatchUp?.(read)
    cleanUp(() => surroundings.onCatchUp?.(null))
    const lacking = [refused]
    try {
      ids = watchIds(tracker, surroundings, task, read)
    } catch (error) {
      lacking.push(
        `changes of uid without exec are seen late, for want of CAP_NET_ADMIN: ${messageOf(error)}`,
      )
    }

    const scan = () => scanProcesses({ ...surroundings, tracker, signal, beforeSlice: read })
    await scan()
    hasScanned = true
    read()
    if (seesRequests) watchRequests(runtime, read, surroundings, task)
    await prove(surroundings, { exits: true, signal })
    emit({ kind: 'attached', lacking: lacking.filter(Boolean).join('; ') })

    let provenAt = performance.now()
    let hadLost = false
    for (;;) {
      pulse(nextTurnWithinMs)
      await sleep(1_000, undefined, { signal })
      const hasLost = losses.report({ unreadable, lostIds: ids.takeLost() })
      unreadable = 0
      // Once more a second later: a process may begin and end, unseen, around a scan.
      if (hasLost || hadLost) await scan()
      hadLost = hasLost
      if (performance.now() - provenAt < proveMs) continue
      await prove(surroundings, { exits: true, signal })
      provenAt = performance.now()
    }
  })

function watchRequests(
  runtime: Runtime,
  read: () => boolean,
  { now, onApiWatch }: Surroundings,
  { cleanUp }: CollectorTask,
): void {
  onApiWatch({
    since: now(),
    catchUp: () => !read(),
    lost() {
      const { requested, overBudget } = runtime.losses()
      return requested + overBudget
    },
  })
  cleanUp(() => onApiWatch(null))
}

// The event loop is shared with everything else the daemon does.
const sliceMs = 10
