import { BoundedMap } from '../../agent/lib/bounded-map.ts'
import type { Healthcheck } from '../../agent/model/container.ts'
import type { ExecObservation } from '../../agent/model/observation.ts'

const windowMs = 60_000
const maxContainers = 1_000

/** Counts the health checks of each container in the last minute: an exact copy of one shows only in their number. */
export function healthcheckRate() {
  const times = new BoundedMap<string, number[]>(maxContainers)

  /** The count including this one, if it is far more than the interval explains; otherwise null. */
  return ({ container, time }: ExecObservation): number | null => {
    const recent = (times.get(container.id) ?? []).filter((earlier) => earlier > time - windowMs)
    recent.push(time)
    times.setNewest(container.id, recent)
    const healthcheck = container.details?.healthcheck
    return healthcheck && recent.length > maxPerMinute(healthcheck) ? recent.length : null
  }
}

/** Per minute: twice the engine's own rate, plus a margin for container restarts. */
function maxPerMinute({ intervalSeconds, startIntervalSeconds = intervalSeconds }: Healthcheck): number {
  const shortest = Math.min(intervalSeconds, startIntervalSeconds)
  return (2 * windowMs) / 1_000 / shortest + 5
}
