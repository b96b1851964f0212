import type { BootClock } from '../../linux/boot-clock.ts'
import type { Container, ContainerView } from '../../model/container.ts'
import type { ApiRequest } from '../../model/observation.ts'
import { type Cgroup, containerOf } from './attribution/cgroup.ts'
import { containerFor } from './table/describe.ts'
import type { ProcessTable } from './table/table.ts'

/** Requests to the Docker API as they are being watched: for who must know that none came, not only which did. */
export type ApiWatch = {
  /** Epoch milliseconds. */
  since: number
  /** Takes in what the kernel has told until now; false when that is too much for one go. */
  catchUp(): boolean
  /** How many were or may have been lost so far. */
  lost(): number
}

/** A request as a record tells it. */
export type SeenRequest = Omit<ApiRequest, 'kind' | 'time' | 'container'> & { cgroup: Cgroup }

export type ApiRequestOptions = {
  table: ProcessTable
  containers: ContainerView
  clock: BootClock
}

/** Makes an observation of a request that was seen some milliseconds after boot. */
export function apiRequestOf(
  { cgroup, ...request }: SeenRequest,
  sinceBoot: number,
  { table, containers, clock }: ApiRequestOptions,
): ApiRequest {
  const membership = table.find(request)?.membership
  return {
    kind: 'api-request',
    time: sinceBoot + clock.epochOffset(),
    ...request,
    container: membership ? containerFor(membership, containers) : containerNamedBy(cgroup, containers),
  }
}

function containerNamedBy(cgroup: Cgroup, containers: ContainerView): Container | null {
  const known = containerOf(cgroup, containers)
  if (known !== undefined) return known
  const id = cgroup.ids[0]
  if (id !== undefined) return containerFor({ id, build: false }, containers)
  return cgroup.build === '' ? null : containerFor({ id: cgroup.build, build: true }, containers)
}
