/** Everything tidewatch knows about one container; fields that need an inspect are null until it was answered. */
export type Container = ContainerIdentity & {
  /** The engine's name for its state; `unknown` if the container is known only from an event. */
  state: ContainerState
  /** The result of inspect, or null if the container was gone before it was inspected. */
  details: ContainerDetails | null
}

/** What identifies a container to users and in labels; always known, at least from an event's attributes. */
export type ContainerIdentity = {
  /** 64 hexadecimal digits. */
  id: string
  /**
   * Without the leading slash. A Swarm task is `service.slot`, followed by the start of its task id while a newer task
   * has that name.
   */
  name: string
  /** The engine's name for it, which no other container has at the same time. */
  engineName: string
  /** Epoch milliseconds, in whole seconds before the inspect; 0 when unknown. */
  createdAt: number
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

/** The fields of `GET /containers/{id}/json` that detectors use. */
export type ContainerDetails = {
  /** Pid of the container's init on the host; 0 if it is not running. */
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
  /** Entry point and arguments together: the command of its first process. */
  command: readonly string[]
  /** Name of the OCI runtime in the engine's configuration; empty if the engine does not report it. */
  runtime: string
  /** Paths below /proc and /sys that the runtime hides or mounts read-only. */
  maskedPaths: readonly string[]
  readonlyPaths: readonly string[]
  /** The AppArmor profile of its processes; empty for none. */
  appArmorProfile: string
  /** The SELinux label of its processes; empty for none. */
  processLabel: string
  workingDirectory: string
  restartCount: number
  oomKilled: boolean
  /** Execs that the engine still knows: running ones, and those that ended within the last minutes. */
  execIds: readonly string[]
}

/** A health check as the engine runs it: an exec with exactly this argv. */
export type Healthcheck = {
  argv: readonly string[]
  intervalSeconds: number
  /** The interval during the container's start period, if it has one. */
  startIntervalSeconds?: number
}

/** Limits from the container's configuration; null if not set. */
export type Limits = { memoryBytes: number | null; cpus: number | null; pids: number | null }

export type Mount = { type: string; source: string; destination: string; writable: boolean }

/** Whether a configured user is root: none is set, or it is root's name or number. */
export function isRootUser(user: string): boolean {
  const name = user.split(':', 1)[0]
  // Numbers are parsed like Go's strconv.Atoi does (moby's and runc's user lookup): 00 and +0 are root too.
  return name === '' || name === 'root' || /^[+-]?0+$/.test(name ?? '')
}

/** The currently known containers of the host. */
export type ContainerView = {
  get(id: string): Container | undefined
  all(): readonly Container[]
  /** Containers that have processes: running or paused. */
  running(): readonly Container[]
}

/** The same for callers that can wait for the engine's answer. */
export type ContainerLookup = ContainerView & {
  /**
   * Whether a request for this container or for the container list is still unanswered. Makes a request if nothing has
   * been reported of the container.
   */
  isPending(id: string): boolean
}

/** A container of which only the identity is known. */
export function unknownContainer(id: string, name: string, image = ''): Container {
  return {
    id,
    name,
    engineName: name,
    createdAt: 0,
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

/** A container that the engine has not reported yet, or that belongs to another engine: its id serves as its name. */
export function containerOfId(id: string): Container {
  return unknownContainer(id, id.slice(0, 12))
}

/** Whether nothing but the id of a container is known. */
export function isOnlyId({ id, name, image, details }: Container): boolean {
  return details === null && image === '' && name === id.slice(0, 12)
}
