import type { ContainerObservation, OomVictim, ResourceSample } from '../../../agent/model/observation.ts'
import type { Step } from '../container-event.ts'
import { recordSample } from './counter.ts'
import { recordDeath } from './death.ts'
import { recordEvent } from './engine-event.ts'
import { type Ledger, type Recorded, undecided } from './ledger.ts'
import { recordVictim } from './named-victim.ts'
import type { OomReport } from './report.ts'
import { passDeadline, recordCreated, recordSeen, recordStart } from './run.ts'

/** A client asked the engine to kill the container with SIGKILL. */
export type SigkillRequest = { kind: 'sigkill-request'; time: number; container: { id: string } }

export type OomFact = ResourceSample | ContainerObservation | OomVictim | SigkillRequest

/**
 * Records one fact in the ledger, and reports the kills that it decides. Several sources report the OOM kills of a
 * container. Four kinds of fact can show the same kill:
 *
 * | fact | source | file | what is special about it |
 * |---|---|---|---|
 * | named victim | the kernel's tracepoint `mark_victim`; eBPF only | `named-victim.ts` | decides the kill at once |
 * | counter | the cgroup's `oom_kill`, in each sample | `counter.ts` | counts kills, does not say of which process |
 * | `oom` event | Docker Engine | `engine-event.ts` | seconds late on a busy host; cgroup v1 can send several for one kill |
 * | death by SIGKILL | exit code 137, with or without the engine's flag `OOMKilled` | `death.ts` | may have another cause |
 *
 * With cgroup v1, `mem_cgroup_oom_notify()` of mm/memcontrol-v1.c signals that memory ran out, and signals again while
 * the victim is dying: hence the several events.
 *
 * The facts arrive in any order and with any delay, so they are matched by counting, not by time: each fact is matched
 * with one of another kind, and an unmatched fact is a kill of its own.
 *
 * What decides whether the container survived (`oom-kill`) or died of it (`container-oom-killed`):
 *
 * | proof | verdict |
 * |---|---|
 * | the named victim is not the container's first process | survived |
 * | the named victim is the container's first process | died |
 * | a later sample finds the first process running | survived the kills counted before |
 * | a death with an exit code other than 137, or by a SIGKILL that a client requested | survived the kills before |
 * | a death with exit code 137 that no client requested, and a kill that nothing else explains | died of it |
 * | the counter does not change after an `oom` event | the event belongs to an earlier death, or to no kill |
 * | the deadline, where none of these arrives | survived, unless the kernel named the first process |
 */
export const recordFact: Step<Ledger, OomFact | 'deadline', OomReport> = (before, fact) => {
  const [next, reports] = applyFact(before, fact)
  const after = reports.length > 0 ? { ...next, isKillKnown: true } : next
  const isWaiting = undecided(after) > 0 || after.initVictims.length > 0 || after.groupVictims.length > 0
  if (!isWaiting) return [{ ...after, waitingSince: null }, reports]
  if (before.waitingSince !== null && reports.length === 0) return [after, reports]
  const waits = after.waits + 1
  return [{ ...after, waits, waitingSince: waits }, reports]
}

function applyFact(before: Ledger, fact: OomFact | 'deadline'): Recorded {
  if (fact === 'deadline') return passDeadline(before)
  switch (fact.kind) {
    case 'resources':
      return recordSample(before, fact)
    case 'oom-victim':
      return recordVictim(before, fact)
    case 'sigkill-request':
      return [{ ...before, sigkillRequestedAt: fact.time }, []]
    default:
      return recordLifecycle(before, fact)
  }
}

function recordLifecycle(before: Ledger, observation: ContainerObservation): Recorded {
  switch (observation.action) {
    case 'oom':
      return recordEvent(before, observation)
    case 'died':
      return recordDeath(before, observation)
    case 'seen':
      return [recordSeen(before, observation), []]
    case 'created':
      return [recordCreated(before), []]
    case 'started':
      return recordStart(before, observation)
    default:
      return [before, []]
  }
}
