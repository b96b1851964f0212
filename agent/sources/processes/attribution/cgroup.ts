import type { Container, ContainerView } from '../../../model/container.ts'

/** Where the kernel accounts a process: what names its container, whatever the process says of itself. */
export type Cgroup = {
  /** From the root of the hierarchy; starts with `…` where the path was too long to be read whole. */
  path: string
  /** Ids of containers in the path, the outermost first. */
  ids: readonly string[]
  /** The id of an image build's step, or empty. */
  build: string
}

/** Outside of any container. */
export const rootCgroup: Cgroup = { path: '/', ids: [], build: '' }

/** Reads a cgroup's directory names, the outermost first. */
export function cgroupOf(names: readonly string[], truncated = false): Cgroup {
  const path = (truncated ? '…/' : '/') + names.join('/')
  const ids = names.flatMap((name) => containerIdIn(name) ?? [])
  return { path, ids, build: ids.length === 0 ? buildIdIn(names) : '' }
}

/** Reads the lines of /proc/PID/cgroup: the hierarchy that knows a container speaks for all. */
export function parseCgroupFile(text: string): Cgroup {
  const paths = text.split('\n').flatMap((line) => /^\d+:[^:]*:\/(.*)$/.exec(line)?.[1] ?? [])
  const cgroups = paths.map((path) => cgroupOf(path === '' ? [] : path.split('/')))
  const telling = cgroups.find(({ ids, build }) => ids.length > 0 || build !== '')
  return telling ?? cgroups[0] ?? rootCgroup
}

/** The container an engine knows: the outermost, because what runs inside of it is the container's own doing. */
export function containerOf({ ids }: Cgroup, containers: ContainerView): Container | undefined {
  for (const id of ids) {
    const container = containers.get(id)
    if (container !== undefined) return container
  }
  return undefined
}

// `<id>` (cgroupfs driver), `docker-<id>.scope` (systemd), `libpod-<id>`, `cri-containerd-<id>.scope`,
// `system.slice:cri-containerd:<id>`. conmon is Podman's monitor: it watches a container from outside.
function containerIdIn(name: string): string | undefined {
  if (name.includes('conmon')) return undefined
  return /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/.exec(name)?.[1]
}

// `buildkit/<id>` (cgroupfs driver) or `docker-<id>.scope` (systemd), where the id is one of
// BuildKit's identity.NewID: 25 letters and digits.
function buildIdIn(names: readonly string[]): string {
  for (const [index, name] of names.entries()) {
    const id = /^(?:docker-)?([0-9a-z]{25})(?:\.scope)?$/.exec(name)?.[1]
    if (id !== undefined && (names[index - 1] === 'buildkit' || name.endsWith('.scope'))) return id
  }
  return ''
}
