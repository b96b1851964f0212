import type { EvidenceFields } from './evidence-type.ts'
import type { Process } from './observation.ts'
import { clip, clipArgv, commandLine } from '../lib/text.ts'

export const processFields = {
  program: 'text',
  argv: ['text'],
  pid: 'number',
  parent_pid: 'number',
  uid: 'number',
} as const satisfies EvidenceFields

/** The evidence that every finding about a container process contains; ids are those inside the container. */
export function processEvidence({ exe, argv, pid, parentPid, containerUid }: Process) {
  return {
    program: clip(exe, 1_024),
    argv: clipArgv(argv),
    pid,
    parent_pid: parentPid,
    uid: containerUid,
  }
}

/**
 * The command line of a process and its file, as the subject of what it did: a program that names itself like another
 * does something else. The file comes last, because the positions of arguments decide what is redacted.
 */
export function commandSubject({ argv, exe, comm }: Pick<Process, 'argv' | 'exe' | 'comm'>): string[] {
  return [...argv, exe || comm]
}

/** One process of a list: its command line and pid. */
export function processLine(pid: number, exe: string, argv: readonly string[]): string {
  return `${clip(argv.length > 0 ? commandLine(argv) : exe, 256)} (pid ${pid})`
}
