import { readFileSync } from 'node:fs'
import { isProcessGone } from '../lib/errors.ts'
import type { Hierarchy } from './cgroups.ts'

/** Finds the hierarchy in which every container has a cgroup of its own, whatever the engine's driver. */
export function findHierarchy(procRoot: string): Hierarchy {
  try {
    return parseHierarchies(readFileSync(`${procRoot}/cgroups`, 'latin1'))
  } catch (error) {
    // Kernels without version 1 need not have the file.
    if (isProcessGone(error)) return { version: 2 }
    throw error
  }
}

/**
 * Reads /proc/cgroups (cgroups(7)): a controller whose hierarchy has a number is in version 1. On a hybrid host
 * version 2 is there as well, but the cgroupfs driver puts no container into it.
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

/** Those that runc gives every container a cgroup in, the least likely to be missing first. */
const controllers = ['pids', 'memory', 'devices', 'freezer', 'cpu', 'blkio']
