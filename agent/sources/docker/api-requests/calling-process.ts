import type { HostUsers } from '../../../linux/host-users.ts'
import type { CallerProcess } from '../../../model/observation.ts'
import type { ProcessTable } from '../../processes/table/table.ts'
import {
  ancestorsOf,
  describeActor,
  readLiving,
  type ActorKey,
} from '../../processes/attribution/process-identity.ts'

export type CallingProcessOptions = { table: ProcessTable; procRoot: string; users: HostUsers }

/** Describes a client. Call it immediately: the client and its ancestors may exit soon. */
export function describeCaller(client: ActorKey, options: CallingProcessOptions): CallerProcess {
  const { table, procRoot } = options
  const known = table.find(client) ?? readLiving(procRoot, client.pid)
  // The pid may have been reused.
  const process = known?.startTicks === client.startTicks ? known : null
  return describeActor(client, process, process === null ? [] : ancestorsOf(process, table), options)
}
