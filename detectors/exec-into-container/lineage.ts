import type { EnteringProcess } from '../../agent/model/observation.ts'
import { processLine } from '../../agent/model/process-evidence.ts'

/** The login user, from the nearest process that has one; a login is inherited, so the others would have the same. */
export function loginUserIn(line: readonly EnteringProcess[]): string | undefined {
  return line.map(({ loginUser }) => loginUser).find((name) => name !== '')
}

/** A line of processes as evidence, each with its user: a user who became root later is listed further up. */
export function ancestryOf(line: readonly EnteringProcess[]): string[] {
  return line.map(({ pid, exe, argv, user }) => `${processLine(pid, exe, argv)} as ${user}`)
}
