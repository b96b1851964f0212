import type { Container } from '../container.ts'
import type { CallerProcess } from './docker.ts'

/**
 * Files that make the kernel, or every program of the host, run something as root outside of any container: a process
 * that can write one of them controls the host.
 */
export type BreakoutFile =
  | 'core_pattern' // run when a process crashes (core(5))
  | 'modprobe' // run to load a module
  | 'hotplug' // run for each device event: kernel.hotplug
  | 'uevent_helper' // the same as a file, /sys/kernel/uevent_helper
  | 'poweroff_cmd' // run when the kernel powers the host off
  | 'binfmt_misc' // interpreters that run in place of certain kinds of programs
  | 'release_agent' // run when a cgroup of version 1 becomes empty
  | 'notify_on_release' // whether the agent is run for one cgroup
  | 'cgroup_hierarchy' // a new hierarchy of version 1 has its own release agent
  | 'ld_so_preload' // libraries that every program of the host loads

/**
 * `changed`: the content changed, at least for a moment. `rewritten`: it was written with the same content as before.
 * `refused`: the kernel rejected the change.
 */
export type BreakoutFileChange = 'changed' | 'rewritten' | 'refused'

/**
 * The process that changed a file. `uid` is the effective uid, which gave it write access. If the process exited
 * before it could be inspected, `uid` is null and the rest is empty.
 */
export type FileWriter = Omit<CallerProcess, 'uid'> & { uid: number | null }

/** Something happened to a file that can be used to break out of a container. */
export type BreakoutFileObservation = {
  kind: 'breakout-file'
  time: number
  file: BreakoutFile
  /** The host's path; for a hierarchy that the host has not mounted, the path inside its holder. */
  path: string
  change: BreakoutFileChange
  /** Null if it was absent or empty; undefined if unknown. At most 4,096 characters. */
  before: string | null | undefined
  after: string | null | undefined
  /** How it was detected: `poll` finds a change up to a second later, without its writer. */
  seenBy: 'bpf' | 'fanotify' | 'poll'
  /** The process that did it; null if unknown. */
  writer: FileWriter | null
  /**
   * The writer's container, or the one whose processes have a new hierarchy mounted; null for the host or if unknown.
   */
  container: Container | null
  /** If `container` does not come from a writer: a few of the processes that have the hierarchy mounted. */
  holders?: readonly { pid: number; exe: string; argv: readonly string[] }[]
  /** `notify_on_release` only: the agent that the hierarchy had at first sight, which is the host's own. */
  hostAgent?: string | null
  /** The host's uptime in milliseconds. */
  sinceBoot: number
}
