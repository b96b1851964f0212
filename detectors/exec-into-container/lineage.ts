import type { EnteringProcess } from '../../agent/model/observation.ts'
import { lineOf } from './caller.ts'

/** Who logged in, by the nearest that says so; a login is inherited, so that the others would say the same. */
export function loginUserIn(line: readonly EnteringProcess[]): string | undefined {
  return line.map(({ loginUser }) => loginUser).find((name) => name !== '')
}

/** Who logged in, as the end of a sentence; empty where nobody did. */
export function loginPhrase(line: readonly EnteringProcess[]): string {
  const name = loginUserIn(line)
  return name === undefined ? '' : `, by ${name}`
}

/** A line of processes as evidence, each with its user: somebody who was root only later is himself further up. */
export function ancestryOf(line: readonly EnteringProcess[]): string[] {
  return line.map(({ pid, exe, argv, user }) => `${lineOf(pid, exe, argv)} as ${user}`)
}
