/** Notices when the processes of a container become more, as those of a fork bomb do. */
export type GrowthWatch = {
  /** One was made in the container. */
  made(containerId: string): void
  /** One has ended there. */
  ended(containerId: string): void
  /** Forgets containers of which nothing was heard for a while; to be called once in a second. */
  forget(): void
  close(): void
}

// More than the start of any ordinary program makes at once, and half of the least limit that anybody sets.
const step = 10
// A bomb makes thousands in a second: so it is told of a hundred times.
const gatherMs = 10
const forgetAfterSeconds = 10
// Who starts containers in a loop is not remembered for it.
const maxContainers = 4_096

/**
 * Calls back when a container has so many processes more than at its least, and again for each further so many. What
 * is counted is a hint and no number to judge by: threads are not in it, nor is what was lost on the way.
 */
export function growthWatch(onGrowth: (containerId: string) => void): GrowthWatch {
  const counts = new Map<string, Count>()
  const grown = new Set<string>()
  let timer: NodeJS.Timeout | undefined

  function tell(): void {
    timer = undefined
    const ids = [...grown]
    grown.clear()
    for (const id of ids) onGrowth(id)
  }

  return {
    made(id) {
      const count = counts.get(id) ?? { more: 0, quietSeconds: 0 }
      if (counts.size < maxContainers) counts.set(id, count)
      count.quietSeconds = 0
      count.more++
      if (count.more < step) return
      count.more = 0
      grown.add(id)
      timer ??= setTimeout(tell, gatherMs)
    },
    ended(id) {
      const count = counts.get(id)
      if (count !== undefined && count.more > 0) count.more--
    },
    forget() {
      for (const [id, count] of counts) {
        count.quietSeconds++
        if (count.quietSeconds > forgetAfterSeconds) counts.delete(id)
      }
    },
    close: () => clearTimeout(timer),
  }
}

/** How many processes more than at the least since growth was last told. */
type Count = { more: number; quietSeconds: number }
