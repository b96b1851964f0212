import type { Container } from '../../../model/container.ts'
import type { ExecSettings } from '../../../model/observation.ts'
import { boundedArgv, boundedText } from '../client/bounded.ts'
import type { CallQueue } from '../client/call-queue.ts'
import type { DockerClient } from '../client/client.ts'
import { isObject, type JsonObject, numberOf, objectOf, textOf, textsOf } from '../../../lib/json-object.ts'

/** What `GET /exec/{id}/json` returns and no event contains. */
export type ExecInspect = {
  argv: readonly string[]
  settings: ExecSettings
  running: boolean
  /** Null while it runs. */
  exitCode: number | null
}

/** Parses an exec inspect response; null without a command, so that an argv marked as exact always is. */
export function execOfInspect(inspect: JsonObject): ExecInspect | null {
  const process = objectOf(inspect['ProcessConfig'])
  if (!isObject(inspect['ProcessConfig']) || typeof process['entrypoint'] !== 'string') return null
  const exitCode = inspect['ExitCode']
  return {
    argv: boundedArgv([process['entrypoint'], ...textsOf(process['arguments'])]),
    settings: {
      user: boundedText(textOf(process['user'])),
      tty: process['tty'] === true,
      openStdin: inspect['OpenStdin'] === true,
      privileged: process['privileged'] === true,
      pid: numberOf(inspect['Pid']),
    },
    running: inspect['Running'] === true,
    exitCode: typeof exitCode === 'number' && Number.isInteger(exitCode) ? exitCode : null,
  }
}

/** Passes null if the engine has no such exec in this container, undefined if it did not answer. */
export type InspectExec = (
  exec: { id: string; container: Container },
  onResult: (result: ExecInspect | null | undefined) => void,
) => void

/** Inspects execs through the call queue; when that is full, the result is undefined and the call counts as lost. */
export function createInspectExec({
  client,
  calls,
  lose,
}: {
  client: Pick<DockerClient, 'inspectExec'>
  calls: CallQueue
  lose: (reason: string) => void
}): InspectExec {
  return ({ id, container }, onResult) => {
    const taken = calls.call(
      () => client.inspectExec(id),
      (reply) => {
        if (reply === null || reply === undefined) onResult(reply)
        else if (textOf(reply['ContainerID']) !== container.id) onResult(null)
        else onResult(execOfInspect(reply))
      },
    )
    if (taken) return
    lose('queue-full')
    onResult(undefined)
  }
}
