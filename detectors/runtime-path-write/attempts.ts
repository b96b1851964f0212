import { hash } from 'node:crypto'
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
  /** Attempts in one container with equal subject, target user and actor are repeats of each other. */
  subject: readonly string[]
  targetUser?: string
  actor?: string | undefined
  /** Identifies this step permanently. */
  key: string
  evidence: { readonly [key: string]: Json }
}

/**
 * Makes one finding of the steps of one attack: steps in the same container within a minute are added to it. Another
 * exec that asks for the runtime, or another program that opens it, is another attempt and a finding of its own. Equal
 * attempts in a loop are reported once a minute.
 */
export function gatherAttempts() {
  const attacks = new BoundedMap<string, Attack>(maxContainers)

  function take(attempt: Attempt): Detection[] {
    const { container, step, time } = attempt
    const act = actOf(attempt)
    const phase = phaseOf(attempt)
    const known = attacks.get(container.id)
    if (known === undefined || Math.abs(time - known.first.time) >= attackMs) {
      attacks.setNewest(container.id, {
        first: attempt,
        ...{ steps: new Set([step]), phases: new Set([phase]), acts: new Set([act]) },
      })
      return [detectionOf(attempt, attempt)]
    }
    if (known.acts.has(act)) return []
    if (known.acts.size < maxActs) known.acts.add(act)
    if (known.phases.has(phase) && phase !== 'executed') return [detectionOf(attempt, attempt)]
    known.phases.add(phase)
    if (known.steps.has(step)) return []
    known.steps.add(step)
    return [{ ...detectionOf(attempt, known.first), isUpdate: true }]
  }

  return { take }
}

/** The attempt that an attack started with, the steps that were added to it, and all attempts so far. */
type Attack = { first: Attempt; steps: Set<Step>; phases: Set<Step>; acts: Set<string> }

const attackMs = 60_000
const maxContainers = 1_024
// An attacker can invent any number of commands; those beyond this are not recognised as equal.
const maxActs = 32

/** The runtime opens its own file because it executes itself: one attack does that several times. */
function phaseOf({ step, evidence }: Attempt): Step {
  return evidence['by_runtime'] === true ? 'executed' : step
}

function actOf({ step, subject, targetUser, actor }: Attempt): string {
  return hash('sha256', JSON.stringify([step, subject, targetUser, actor]))
}

function detectionOf(
  { time, container, step, evidence }: Attempt,
  { key: eventKey, summary, subject, targetUser, actor }: Attempt,
): Detection {
  return {
    rule: 'overwrite-attempt',
    time,
    container,
    summary,
    subject,
    targetUser,
    actor,
    eventKey,
    evidence: { [step]: evidence },
  }
}
