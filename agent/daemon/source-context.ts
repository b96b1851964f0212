import type { Observable } from 'rxjs'
import type { DockerClient } from '../sources/docker/client/client.ts'
import type { HostUsers } from '../linux/host-users.ts'
import type { Container, ContainerView } from '../model/container.ts'
import type { ProcessSource } from '../sources/processes/source.ts'

/** What sources have in common. */
export type Surroundings = {
  client: DockerClient
  containers: ContainerView
  processes: ProcessSource
  containerOfPid: (pid: number) => Container | null
  users: HostUsers
  /** The engine's sockets on this host. */
  apiSockets: readonly string[]
  /** Something may not have been told: the engine's events begin, or were lost. */
  unsure$: Observable<void>
  /** Epoch milliseconds. */
  now: () => number
}

/** Where the kernel shows itself; tests of single sources put fixtures there. */
export const kernel = { procRoot: '/proc', cgroupRoot: '/sys/fs/cgroup', sysRoot: '/sys' }
