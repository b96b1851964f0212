import { enabledRules, ruleOf } from './rule-precedence.ts'
import type { EventOfRule } from './reported-events.ts'
import type { DetectorConfig } from '../config/detectors-schema.ts'
import type { Container } from '../model/container.ts'
import type { Detector } from '../model/detector.ts'
import type { Detection } from '../model/finding.ts'

/** The events whose findings cover a detection, as its rule declares; none for nearly all detections. */
export function supersedingEvents(
  detector: Detector,
  { supersedingEventKey: eventKey }: Pick<Detection, 'supersedingEventKey'>,
  rule: string,
): EventOfRule[] {
  if (eventKey === undefined) return []
  const { supersededBy = [] } = ruleOf(detector, rule)
  return supersededBy.map((superseding) => ({ rule: superseding, eventKey }))
}

export type AwaitedEventsOptions = {
  detectors: readonly Detector[]
  /** The configuration of a detector for a container. */
  configOf: (detector: string, container: Container | null) => DetectorConfig
  isReported: (event: EventOfRule) => boolean
}

/** Returns the superseding events of a detection that may still be reported; none if it must not wait. */
export type AwaitedEvents = (detector: Detector, detection: Detection) => readonly EventOfRule[]

/** Lets no detection wait for a rule that is disabled in its container, or for an event that was reported before. */
export function awaitedEvents({ detectors, configOf, isReported }: AwaitedEventsOptions): AwaitedEvents {
  const detectorOf = new Map(
    detectors.flatMap(({ name, rules }) => Object.keys(rules).map((rule) => [rule, name])),
  )

  function isEnabled(rule: string, container: Container | null): boolean {
    const detector = detectorOf.get(rule)
    if (detector === undefined) return false
    const { enabled, rules } = configOf(detector, container)
    return enabled && rules[rule]?.enabled !== false
  }

  return (detector, detection) => {
    const { container, supersedingEventKey, isUpdate } = detection
    if (supersedingEventKey === undefined || isUpdate) return []
    const [rule] = enabledRules(detector, detection, configOf(detector.name, container))
    if (rule === undefined) return []
    const events = supersedingEvents(detector, detection, rule).filter((event) =>
      isEnabled(event.rule, container),
    )
    return events.some(isReported) ? [] : events
  }
}
