import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import type { Container } from '../../agent/model/container.ts'
import type { Detection, Json } from '../../agent/model/finding.ts'

/** Which step of the attack was seen. */
export type Step = 'configured' | 'requested' | 'opened' | 'executed'

export type Attempt = {
  step: Step
  time: number
  container: Container
  /** A single line. */
  summary: string
  /** Attempts in one container with the same subject are repetitions of each other. */
  subject: string
  /** Identifies this step permanently. */
  key: string
  evidence: { readonly [key: string]: Json }
}

/**
 * Makes one finding of the steps of one attack: steps in the same container within a minute are added to it. Attempts
 * in a loop are reported once a minute.
 */
export function gatherAttempts() {
  const attacks = new BoundedMap<string, Attack>(maxContainers)

  function take(attempt: Attempt): Detection[] {
    const { container, step, time } = attempt
    const known = attacks.get(container.id)
    if (known === undefined || Math.abs(time - known.time) >= attackMs) {
      const { key: eventKey, summary, subject } = attempt
      attacks.setNewest(container.id, { eventKey, time, summary, subject, steps: new Set([step]) })
      return [detectionOf(attempt, { eventKey, summary, subject })]
    }
    if (known.steps.has(step)) return []
    known.steps.add(step)
    return [{ ...detectionOf(attempt, known), isUpdate: true }]
  }

  return { take }
}

type Attack = { eventKey: string; time: number; summary: string; subject: string; steps: Set<Step> }

const attackMs = 60_000
const maxContainers = 1_024

function detectionOf(
  { time, container, step, evidence }: Attempt,
  { eventKey, summary, subject }: { eventKey: string; summary: string; subject: string },
): Detection {
  return {
    rule: 'overwrite-attempt',
    time,
    container,
    summary,
    subject: [subject],
    eventKey,
    evidence: { [step]: evidence },
  }
}
