import type { MaskState, Observation } from '../../agent/model/observation.ts'
import type { Instruments } from './instruments.ts'

/**
 * The state of the /proc and /sys masks of running containers. Sandboxed ones have their own kernel and are skipped.
 */
export function createMaskMetrics(make: Instruments) {
  const stateOf = new Map<string, MaskState>()
  make.mirror(
    'tidewatch_container_masks',
    'Running containers by the last known state of their masks: intact, missing, unmasked (as configured), sandboxed (skipped), unknown.',
    ['state'],
    () => maskStates.map((state) => [{ state }, [...stateOf.values()].filter((one) => one === state).length]),
  )
  return {
    observed(observation: Observation): void {
      if (observation.kind === 'masks') stateOf.set(observation.container.id, observation.state)
      const isEnd =
        observation.kind === 'container' &&
        (observation.action === 'died' || observation.action === 'removed')
      if (isEnd) stateOf.delete(observation.container.id)
    },
  }
}

const maskStates: readonly MaskState[] = ['intact', 'missing', 'unmasked', 'sandboxed', 'unknown']
