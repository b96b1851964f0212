import type { HostUsers } from '../../../linux/host-users.ts'
import type { CallerProcess } from '../../../model/observation.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import {
  ancestorsOf,
  describeWho,
  readLiving,
  type Who,
} from '../../processes/attribution/process-identity.ts'

export type CallingProcessOptions = { table: ProcessTable; procRoot: string; users: HostUsers }

/** Tells all there is to tell of a client, at once: it may be gone in a moment, and its ancestors after it. */
export function describeCaller(calling: Who, options: CallingProcessOptions): CallerProcess {
  const { table, procRoot } = options
  const known = table.find(calling) ?? readLiving(procRoot, calling.pid)
  // The pid may be another's by now.
  const process = known?.startTicks === calling.startTicks ? known : null
  return describeWho(calling, process, process === null ? [] : ancestorsOf(process, table), options)
}
