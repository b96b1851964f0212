import type { Container, ContainerView } from '../../../model/container.ts'

/** A process's cgroup: it identifies the container, whatever the process claims about itself. */
export type Cgroup = {
  /** From the root of the hierarchy; starts with `…` where the path was too long to be read completely. */
  path: string
  /** Container ids in the path, outermost first. */
  ids: readonly string[]
  /** The id of an image build step, or empty. */
  build: string
}

/** Outside any container. */
export const rootCgroup: Cgroup = { path: '/', ids: [], build: '' }

/** Parses a cgroup's directory names, outermost first. */
export function cgroupOf(names: readonly string[], truncated = false): Cgroup {
  const path = (truncated ? '…/' : '/') + names.join('/')
  const ids = names.flatMap((name) => containerIdIn(name) ?? [])
  return { path, ids, build: ids.length === 0 ? buildIdIn(names) : '' }
}

/** Parses /proc/PID/cgroup: the first hierarchy that names a container or build wins. */
export function parseCgroupFile(text: string): Cgroup {
  const paths = text.split('\n').flatMap((line) => /^\d+:[^:]*:\/(.*)$/.exec(line)?.[1] ?? [])
  const cgroups = paths.map((path) => cgroupOf(path === '' ? [] : path.split('/')))
  const inContainer = cgroups.find(({ ids, build }) => ids.length > 0 || build !== '')
  return inContainer ?? cgroups[0] ?? rootCgroup
}

/** The outermost container that the engine knows: containers nested in it are its own activity. */
export function containerOf({ ids }: Cgroup, containers: ContainerView): Container | undefined {
  for (const id of ids) {
    const container = containers.get(id)
    if (container !== undefined) return container
  }
  return undefined
}

// `<id>` (cgroupfs driver), `docker-<id>.scope` (systemd), `libpod-<id>`, `cri-containerd-<id>.scope`,
// `system.slice:cri-containerd:<id>`. conmon is Podman's monitor, which runs outside the container.
function containerIdIn(name: string): string | undefined {
  if (name.includes('conmon')) return undefined
  return /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/.exec(name)?.[1]
}

// `buildkit/<id>` (cgroupfs driver) or `docker-<id>.scope` (systemd), with an id of BuildKit's identity.NewID:
// 25 letters and digits.
function buildIdIn(names: readonly string[]): string {
  for (const [index, name] of names.entries()) {
    const id = /^(?:docker-)?([0-9a-z]{25})(?:\.scope)?$/.exec(name)?.[1]
    if (id !== undefined && (names[index - 1] === 'buildkit' || name.endsWith('.scope'))) return id
  }
  return ''
}
