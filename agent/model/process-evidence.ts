import type { EvidenceFields } from './evidence-type.ts'
import type { Process } from './observation.ts'
import { clip, clipArgv } from '../lib/text.ts'

export const processFields = {
  program: 'text',
  argv: ['text'],
  pid: 'number',
  parent_pid: 'number',
  uid: 'number',
} as const satisfies EvidenceFields

/** What every finding about a process of a container says of it; ids as the container counts them. */
export function processEvidence({ exe, argv, pid, parentPid, containerUid }: Process) {
  return {
    program: clip(exe, 1_024),
    argv: clipArgv(argv),
    pid,
    parent_pid: parentPid,
    uid: containerUid,
  }
}
