import type { Container } from '../container.ts'

/** A raw event of the engine. */
export type DockerEvent = {
  kind: 'docker-event'
  time: number
  /** Exact time in nanoseconds since the epoch, which exceeds a number's precision. */
  timeNano: bigint
  /** `container`, `image`, `network`, … */
  type: string
  /** The verb alone: `exec_create`, `die`, `health_status`. */
  action: string
  /** The text after the verb and `: `; for an exec the argv joined by spaces. */
  detail: string
  /** The id of the affected object; empty for some events. */
  actorId: string
  attributes: Readonly<Record<string, string>>
}

export type ContainerAction =
  | 'seen' // found by listing, not by an event
  | 'created'
  | 'started'
  | 'died'
  | 'oom'
  | 'paused'
  | 'unpaused'
  | 'renamed'
  | 'updated'
  | 'removed'

export type ContainerObservation = {
  kind: 'container'
  time: number
  action: ContainerAction
  container: Container
  /** `died` only. */
  exitCode: number | null
  /** `renamed` only. */
  previousName: string | null
}

/** An exec of the Docker API: a program that the engine started in a running container. */
export type ExecObservation = {
  kind: 'exec'
  /** When it started. */
  time: number
  /** When it was found running, if no event reported its start. */
  foundAt?: number
  container: Container
  /** 64 hexadecimal digits; empty if a label of the image hides it and listing did not find it. */
  execId: string
  argv: readonly string[]
  /** False if the command is known only from the event: then argv is one string without argument boundaries. */
  exact: boolean
  /** Null if the exec could not be inspected. */
  settings: ExecSettings | null
  /** Whether it is exactly the container's own health check. */
  healthcheck: boolean
}

export type ExecSettings = {
  /** As given to `--user`, or the container's configured user. */
  user: string
  tty: boolean
  openStdin: boolean
  privileged: boolean
  /** Host pid; 0 if the process had not started yet or had failed to start. */
  pid: number
}

/** The end of an exec; `exitCode` is null if unknown. */
export type ExecEnded = {
  kind: 'exec-ended'
  time: number
  container: Container
  execId: string
  exitCode: number | null
  /** The engine could not start its program: there never was a process. Absent if it is not known. */
  hasFailedToStart?: true
}

/** The caller of an exec: reported once per exec, with it or shortly after; never for an exec without an id. */
export type ExecCaller = {
  kind: 'exec-caller'
  time: number
  container: Container
  execId: string
  caller: Caller
}

/**
 * How certain the caller is. `exact`: the client's own request names the exec. `argv`: the command line of a Docker
 * client matches the exec at the same time. `ambiguous`: several clients match. `remote`: a client by TCP, of which
 * only `address` is known; an open connection alone is not enough for that. `unknown`: no client was seen; never a
 * guess.
 */
export type CallerConfidence = 'exact' | 'argv' | 'ambiguous' | 'remote' | 'unknown'

/**
 * Whether an API client requested an exec, identified or not. `seen`: one did. `none`: it is exactly the container's
 * health check, and all requests to the engine's socket were seen and none requested it: the engine started it
 * itself, provided that it listens nowhere else. `unclear`: requests are not observed here, one was lost or
 * incomplete, a request for another exec of the container cannot be distinguished, or the engine never starts such an
 * exec itself.
 */
export type ClientEvidence = 'seen' | 'none' | 'unclear'

export type Caller = {
  confidence: CallerConfidence
  client: ClientEvidence
  /** The client process; null if unknown. */
  process: CallerProcess | null
  /** The container that the client runs in; null for the host. */
  container: Container | null
  /** Address and port of a TCP client, without the port if it has several connections; otherwise empty. */
  address: string
  /** `remote` only. `activity`: its connection is unreadable, and no other client can have sent the request. */
  by?: 'request' | 'activity'
  /** `ambiguous` only: an address or a pid each; bounded. */
  candidates?: readonly string[]
}

export type CallerProcess = {
  pid: number
  uid: number
  /** The host's user name; the uid as text if it has none. */
  user: string
  /** The login user, whatever its rights are now (/proc/PID/loginuid); empty if it does not come from a login. */
  loginUser: string
  exe: string
  argv: readonly string[]
  /** Its parent, grandparent and so on: up to sshd, cron, a shell, a container's init. */
  ancestors: readonly { pid: number; exe: string; argv: readonly string[] }[]
}
