import type { Container } from '../container.ts'

/** An event of the engine as it came, before anything was joined to it. */
export type DockerEvent = {
  kind: 'docker-event'
  time: number
  /** Exact time in nanoseconds since the epoch: more than a number holds. */
  timeNano: bigint
  /** `container`, `image`, `network`, … */
  type: string
  /** The verb alone: `exec_create`, `die`, `health_status`. */
  action: string
  /** What followed the verb after `: `, for an exec the argv joined by spaces. */
  detail: string
  /** The id of what it happened to; empty for some events. */
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

/** A program that the engine started in a container by its exec call. */
export type ExecObservation = {
  kind: 'exec'
  time: number
  container: Container
  /** 64 hexadecimal digits; empty where a label of the image hides it and listing did not find it. */
  execId: string
  argv: readonly string[]
  /** False when only the event told the command: then argv is one string with its boundaries lost. */
  exact: boolean
  /** Null where the engine could not be asked. */
  settings: ExecSettings | null
  /** Whether it is the container's own health check to the letter. */
  healthcheck: boolean
}

export type ExecSettings = {
  /** As given to `--user`, or what the container is configured with. */
  user: string
  tty: boolean
  openStdin: boolean
  privileged: boolean
  /** Host pid; 0 when the process had not started or had already failed to. */
  pid: number
}

/** The end of an exec; `exitCode` is null when nobody could tell. */
export type ExecEnded = {
  kind: 'exec-ended'
  time: number
  container: Container
  execId: string
  exitCode: number | null
}

/** Who asked the engine for an exec: once for each, at once or a moment after the exec; none for one without an id. */
export type ExecCaller = {
  kind: 'exec-caller'
  time: number
  container: Container
  execId: string
  caller: Caller
}

/**
 * How sure it is who called. `exact`: the client's own request names the exec. `argv`: the command line of a Docker
 * client says the same exec at the same time. `ambiguous`: several may have been it. `remote`: by TCP, `address`
 * is all there is; nothing here tells that yet, because a connection that merely is open need not be the one. `unknown`: nothing was seen; never a guess.
 */
export type CallerConfidence = 'exact' | 'argv' | 'ambiguous' | 'remote' | 'unknown'

/**
 * Whether a client of the API is behind an exec, known or not. `seen`: one is. `none`: it is the container's health
 * check to the letter, every request to the engine's socket was seen and none asked for it, so that it is the engine's
 * own doing, as far as the engine listens nowhere else. `unclear`: requests are not seen here, one was lost or not whole, one for an exec of the same container
 * cannot be told from this, or it is nothing that the engine runs of itself.
 */
export type ClientEvidence = 'seen' | 'none' | 'unclear'

export type Caller = {
  confidence: CallerConfidence
  client: ClientEvidence
  /** The client; null where none is known. */
  process: CallerProcess | null
  /** The container that the client sits in; null for the host. */
  container: Container | null
  /** Where a client by TCP came from: address and port, without the port where it has several connections; else empty. */
  address: string
  /** `remote` only. `activity`: nobody can read its connection, and no other can have asked. */
  by?: 'request' | 'activity'
  /** `ambiguous` only: an address or a pid each; bounded. */
  candidates?: readonly string[]
}

export type CallerProcess = {
  pid: number
  uid: number
  /** Names of the host's users; the number as text where there is no name. */
  user: string
  /** Who logged in, whatever became of the rights since (/proc/PID/loginuid); empty where nobody did. */
  loginUser: string
  exe: string
  argv: readonly string[]
  /** Its parent, that one's parent and so on: up to sshd, cron, a shell, a container's init. */
  ancestors: readonly { pid: number; exe: string; argv: readonly string[] }[]
}
