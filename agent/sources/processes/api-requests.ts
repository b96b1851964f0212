import type { BootClock } from '../../linux/boot-clock.ts'
import type { Container, ContainerView } from '../../model/container.ts'
import type { ApiRequest } from '../../model/observation.ts'
import { type Cgroup, containerOf } from './attribution/cgroup.ts'
import { containerFor } from './table/describe.ts'
import type { ProcessTable } from './table/table.ts'

/** The state of the API request monitor: lets a caller conclude that no request was made, not only which were seen. */
export type ApiWatch = {
  /** Epoch milliseconds. */
  since: number
  /** Reads what the kernel has reported so far; false when one call cannot read all of it. */
  catchUp(): boolean
  /** How many were or may have been lost so far. */
  lost(): number
}

/** A request as decoded from a kernel record. */
export type SeenRequest = Omit<ApiRequest, 'kind' | 'time' | 'container'> & { cgroup: Cgroup }

export type ApiRequestOptions = {
  table: ProcessTable
  containers: ContainerView
  clock: BootClock
}

/** Turns a request into an observation; `sinceBoot` in milliseconds. */
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
    container: membership ? containerFor(membership, containers) : containerFromCgroup(cgroup, containers),
  }
}

function containerFromCgroup(cgroup: Cgroup, containers: ContainerView): Container | null {
  const known = containerOf(cgroup, containers)
  if (known !== undefined) return known
  const id = cgroup.ids[0]
  if (id !== undefined) return containerFor({ id, build: false }, containers)
  return cgroup.build === '' ? null : containerFor({ id: cgroup.build, build: true }, containers)
}
