import { readFileSync } from 'node:fs'
import { isProcessGone } from '../lib/errors.ts'
import type { Hierarchy } from './cgroups.ts'

/** Finds the hierarchy in which every container has its own cgroup, whatever the engine's cgroup driver. */
export function findHierarchy(procRoot: string): Hierarchy {
  try {
    return parseHierarchies(readFileSync(`${procRoot}/cgroups`, 'latin1'))
  } catch (error) {
    // Kernels without cgroup v1 may lack the file.
    if (isProcessGone(error)) return { version: 2 }
    throw error
  }
}

/**
 * Parses /proc/cgroups (cgroups(7)): a controller with a nonzero hierarchy id is in cgroup v1. A hybrid host has
 * cgroup v2 as well, but the cgroupfs driver puts no container into it.
 */
export function parseHierarchies(text: string): Hierarchy {
  const mounted = new Set(
    text.split('\n').flatMap((line) => {
      const [controller = '', hierarchy] = line.split('\t')
      return controller.startsWith('#') || Number(hierarchy ?? 0) === 0 ? [] : controller
    }),
  )
  const controller = controllers.find((name) => mounted.has(name))
  return controller === undefined ? { version: 2 } : { version: 1, controller }
}

/** Controllers in which runc gives every container a cgroup, the most widely available first. */
const controllers = ['pids', 'memory', 'devices', 'freezer', 'cpu', 'blkio']
