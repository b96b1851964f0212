import type { Container } from '../../agent/model/container.ts'
import type { Detection, Json } from '../../agent/model/finding.ts'
import { recent } from './recent.ts'

/** Which step of the attack was seen. */
export type Step = 'configured' | 'requested' | 'opened' | 'executed'

export type Attempt = {
  step: Step
  time: number
  container: Container
  /** Of one line. */
  words: string
  /** What, beside the container, makes two attempts the same thing happening again. */
  subject: string
  /** Names this step for ever. */
  key: string
  evidence: { readonly [key: string]: Json }
}

/**
 * The steps of one attack are one finding: what follows in the same container within a minute is added to it. Whoever
 * tries in a loop is told of once a minute.
 */
export function gatherAttempts() {
  const acts = recent<{ act: string; time: number; words: string; subject: string; steps: Set<Step> }>(
    maxContainers,
  )

  function take(attempt: Attempt): Detection[] {
    const { container, step, time } = attempt
    const known = acts.get(container.id)
    if (known === undefined || Math.abs(time - known.time) >= actMs) {
      const { key: act, words, subject } = attempt
      acts.set(container.id, { act, time, words, subject, steps: new Set([step]) })
      return [detectionOf(attempt, { act, words, subject })]
    }
    if (known.steps.has(step)) return []
    known.steps.add(step)
    return [{ ...detectionOf(attempt, known), completes: true }]
  }

  return { take }
}

const actMs = 60_000
const maxContainers = 1_024

function detectionOf(
  { time, container, step, evidence }: Attempt,
  { act, words, subject }: { act: string; words: string; subject: string },
): Detection {
  return {
    rule: 'overwrite-attempt',
    time,
    container,
    summary: words,
    subject: [subject],
    act,
    evidence: { [step]: evidence },
  }
}
