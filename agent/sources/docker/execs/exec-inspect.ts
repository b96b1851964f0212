import type { ExecSettings } from '../../../model/observation.ts'
import { boundedArgv, boundedText } from '../client/bounded.ts'
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
