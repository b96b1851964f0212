/** Everything tidewatch knows of one container; what only an inspect can tell is absent until one was answered. */
export type Container = ContainerIdentity & {
  /** The engine's word for its state; `unknown` when only an event spoke of the container. */
  state: ContainerState
  /** What inspect told, or null when the container was gone before it could be asked. */
  details: ContainerDetails | null
}

/** What names a container to people and in labels; always known, from an event's attributes at the least. */
export type ContainerIdentity = {
  /** 64 hexadecimal digits. */
  id: string
  /** Without the leading slash; a Swarm task is `service.slot`. */
  name: string
  /** As the user wrote it, without `@sha256:…`. */
  image: string
  /** `sha256:…` of the image's configuration; empty when unknown. */
  imageId: string
  labels: Readonly<Record<string, string>>
  composeProject: string
  composeService: string
  k8sNamespace: string
  k8sPod: string
}

export type ContainerState =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'exited'
  | 'dead'
  | 'unknown'

/** What `GET /containers/{id}/json` says that a detector may want to know. */
export type ContainerDetails = {
  /** Pid of the container's init on the host; 0 when it does not run. */
  pid: number
  /** Epoch milliseconds of the last start; 0 when it never started. */
  startedAt: number
  /** `Config.User` as configured: a name or number, perhaps with a group; empty means root. */
  user: string
  tty: boolean
  healthcheck: Healthcheck | null
  limits: Limits
  privileged: boolean
  capabilitiesAdded: readonly string[]
  capabilitiesDropped: readonly string[]
  securityOptions: readonly string[]
  mounts: readonly Mount[]
  /** `HostConfig.PidMode`: empty, `host` or `container:<id>`. */
  pidMode: string
  /** Entry point and arguments together: what its first process is to run. */
  command: readonly string[]
  /** The OCI runtime by its name in the engine's configuration; empty where the engine does not say. */
  runtime: string
  /** Below /proc and /sys: what the runtime hides, and what it lets nobody write. */
  maskedPaths: readonly string[]
  readonlyPaths: readonly string[]
  /** The AppArmor profile of its processes; empty for none. */
  appArmorProfile: string
  /** The SELinux label of its processes; empty for none. */
  processLabel: string
  workingDirectory: string
  restartCount: number
  oomKilled: boolean
  /** Execs the engine still knows, running or ended minutes ago. */
  execIds: readonly string[]
}

/** A health check as the engine will run it: as an exec with exactly this argv. */
export type Healthcheck = {
  argv: readonly string[]
  intervalSeconds: number
  /** While the container starts, where it has a time for that. */
  startIntervalSeconds?: number
}

/** Limits from the container's configuration; null where none is set. */
export type Limits = { memoryBytes: number | null; cpus: number | null; pids: number | null }

export type Mount = { type: string; source: string; destination: string; writable: boolean }

/** Whether a configured user is root: nobody set one, or it was set to root's name or number. */
export function isRootUser(user: string): boolean {
  const name = user.split(':', 1)[0]
  // Numbers are read as Go's strconv.Atoi does (moby's and runc's user lookup): 00 and +0 are root too.
  return name === '' || name === 'root' || /^[+-]?0+$/.test(name ?? '')
}

/** The containers of the host as they are known now. */
export type ContainerView = {
  get(id: string): Container | undefined
  all(): readonly Container[]
  /** Those that have processes: running or paused. */
  running(): readonly Container[]
}

/** The same, for those who can wait for the engine's answer. */
export type ContainerLookup = ContainerView & {
  /** Whether the engine was asked about this container, or for its list of containers, and has not answered yet. */
  isPending(id: string): boolean
}

/** A container of which no more is known than what names it. */
export function unknownContainer(id: string, name: string, image = ''): Container {
  return {
    id,
    name,
    image,
    imageId: '',
    labels: {},
    composeProject: '',
    composeService: '',
    k8sNamespace: '',
    k8sPod: '',
    state: 'unknown',
    details: null,
  }
}
