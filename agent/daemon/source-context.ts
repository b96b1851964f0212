import type { Observable } from 'rxjs'
import type { DockerClient } from '../sources/docker/client/client.ts'
import type { HostUsers } from '../linux/host-users.ts'
import type { Container, ContainerView } from '../model/container.ts'
import type { ProcessSource } from '../sources/processes/source.ts'

/** What the sources share. */
export type SourceContext = {
  client: DockerClient
  containers: ContainerView
  processes: ProcessSource
  containerOfPid: (pid: number) => Container | null
  users: HostUsers
  /** The engine's sockets on this host. */
  apiSockets: readonly string[]
  /** Emits when events may be missing: the engine's event stream started, or lost events. */
  unsure$: Observable<void>
  /** Epoch milliseconds. */
  now: () => number
}

/** The kernel's file systems; tests of single sources replace them with fixtures. */
export const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', sysRoot: '/sys' }
