import type { MaskState, Observation } from '../../agent/model/observation.ts'
import type { Instruments } from './instruments.ts'

/** How the running containers are confined, and how many cannot be looked at because they have a kernel of their own. */
export function createMaskMetrics(make: Instruments) {
  const stateOf = new Map<string, MaskState>()
  make.mirror(
    'tidewatch_container_masks',
    'Running containers by what was last seen of their masks: intact, missing, unmasked (as configured), sandboxed (skipped), unknown.',
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
