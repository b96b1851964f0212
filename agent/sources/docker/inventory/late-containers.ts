import { BoundedMap } from '../../../lib/bounded-map.ts'
import { type JsonObject, textOf } from '../../../lib/json-object.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'

export type LateContainersOptions = {
  client: Pick<DockerClient, 'inspectContainer'>
  calls: CallQueue
  /** Receives the engine's description. */
  onFound: (id: string, description: JsonObject) => void
  /** Epoch milliseconds. */
  now: () => number
}

/**
 * Asks the engine about a container that has processes although no event has reported it: on a busy host events are
 * read seconds late, and without the container's configuration its processes could not be judged. The function returns
 * whether the answer is pending.
 */
export function lateContainers({
  client,
  calls,
  onFound,
  now,
}: LateContainersOptions): (id: string) => boolean {
  const asked = new BoundedMap<string, Question>(maxAsked)

  function ask(id: string): boolean {
    const question: Question = { isPending: true, askAgainAt: now() + askAgainMs }
    asked.setNewest(id, question)
    const isTaken = calls.call(
      () => client.inspectContainer(id),
      (reply) => {
        question.isPending = false
        // No answer is not an answer.
        if (reply === undefined) asked.delete(id)
        else if (reply !== null && textOf(reply['Id']) === id) onFound(id, reply)
      },
    )
    if (!isTaken) asked.delete(id)
    return isTaken
  }

  return (id) => {
    if (!/^[0-9a-f]{64}$/.test(id)) return false
    const last = asked.get(id)
    if (last === undefined || (!last.isPending && now() >= last.askAgainAt)) return ask(id)
    return last.isPending
  }
}

type Question = { isPending: boolean; askAgainAt: number }

// Containers of another engine on this host are unknown to this one for ever.
const askAgainMs = 60_000
const maxAsked = 1_000
