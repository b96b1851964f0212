import type { OomVictim } from '../../../agent/model/observation.ts'
import { maxWaiting } from './deadline.ts'
import { killsOf, type Ledger, type Recorded, undecidedByCounter } from './ledger.ts'
import { died, survived } from './report.ts'

/** Records a victim that the kernel named. If it is a first process, its report waits for the container's death. */
export function recordVictim(before: Ledger, victim: OomVictim): Recorded {
  if (victim.isInit && victim.time <= before.diedAt) return recordLateVictim(before, victim)
  const isCounted = undecidedByCounter(before) > 0
  const [event] = before.events
  const decided = before.decided === null ? null : before.decided + 1
  const after: Ledger = { ...before, decided, isKillKnown: true }
  if (!isCounted) {
    after.events = before.events.slice(1)
    if (event === undefined) after.awaitedEvents += 1
  }
  if (undecidedByCounter(after) === 0) after.counted = null
  if (victim.isInit) return [{ ...after, initVictims: [...after.initVictims, victim].slice(-maxWaiting) }, []]
  if (victim.isGroup)
    return [{ ...after, groupVictims: [...after.groupVictims, victim].slice(-maxWaiting) }, []]
  after.isFlagExplained = true
  return [after, [survived(killsOf(after, [victim]))]]
}

/** The record arrived after the container's death, which is still unexplained unless an event has explained it. */
function recordLateVictim(before: Ledger, victim: OomVictim): Recorded {
  const death = before.unexplained.find(({ time }) => time >= victim.time)
  if (death === undefined) return [before, []]
  const unexplained = before.unexplained.filter((one) => one !== death)
  const after: Ledger = { ...before, unexplained, awaitedEvents: before.awaitedEvents + 1 }
  const { container } = death
  return [after, [died({ ...victim, container, reportedBy: 'kernel', memory: before.memory }, death)]]
}
