import type { Container } from '../container.ts'
import type { CallerProcess } from './docker.ts'

/**
 * What makes the kernel, or every program of the host, run something as root outside of any container: whoever may
 * set one of them owns the host.
 */
export type BreakoutFile =
  | 'core_pattern' // run when a process crashes (core(5))
  | 'modprobe' // run to load a module
  | 'hotplug' // run for each device event: kernel.hotplug
  | 'uevent_helper' // the same as a file, /sys/kernel/uevent_helper
  | 'poweroff_cmd' // run when the kernel powers the host off
  | 'binfmt_misc' // interpreters, which run in place of programs of a kind
  | 'release_agent' // run when a cgroup of version 1 becomes empty
  | 'notify_on_release' // whether it is, for one cgroup
  | 'cgroup_hierarchy' // a new hierarchy of version 1 has an agent of its own
  | 'ld_so_preload' // libraries that every program of the host loads

/**
 * `changed`: it holds something else now, or did for a moment. `rewritten`: it was written to and holds the same as before.
 * `refused`: the kernel asked for the change and did not take it.
 */
export type BreakoutFileChange = 'changed' | 'rewritten' | 'refused'

/**
 * Who changed a file. `uid` is the effective one, which gave the right to write; it is null, and the rest empty, of one
 * that ended before it could be looked at.
 */
export type FileWriter = Omit<CallerProcess, 'uid'> & { uid: number | null }

/** Something was done to a file by which one gets out of a container. */
export type BreakoutFileObservation = {
  kind: 'breakout-file'
  time: number
  file: BreakoutFile
  /** As the host calls it; in a hierarchy that the host has not mounted, as its holder does. */
  path: string
  change: BreakoutFileChange
  /** Null where it was absent or empty; undefined where nobody knows. At most 4,096 characters. */
  before: string | null | undefined
  after: string | null | undefined
  /** By what it was seen: `poll` finds a change up to a second later, and nobody who made it. */
  seenBy: 'bpf' | 'fanotify' | 'poll'
  /** Who did it; null where nobody knows. */
  writer: FileWriter | null
  /** The container the writer is in, or whose processes have a new hierarchy mounted; null for the host or where unknown. */
  container: Container | null
  /** Where `container` is from no writer: processes that have the hierarchy mounted, a few of them. */
  holders?: readonly { pid: number; exe: string; argv: readonly string[] }[]
  /** `notify_on_release` only: the agent that the hierarchy had when it was first looked at, which is the host's own. */
  hostAgent?: string | null
  /** How long the host had been up, milliseconds. */
  sinceBoot: number
}
