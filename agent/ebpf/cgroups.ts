import { frame, r0, r1, r3, r6, r7, r8, r9 } from './assembler.ts'
import { addFlag, readName } from './paths.ts'
import { executed, flags, limits } from './layout.ts'
import { type Member, type Program, slots } from './program.ts'

/** Which hierarchy of cgroups containers are in: version 2, or that of a controller of version 1. */
export type Hierarchy = { version: 2 } | { version: 1; controller: string }

/**
 * Climbs from the cgroup of the task in r6 to the root. Its names go into the record's tail, the leaf first, and
 * r9 is where they end; `slots.key` becomes the id of the outermost cgroup that is named as a container is, or 0.
 * Uses r8.
 */
export function readCgroups(p: Program, hierarchy: Hierarchy): void {
  const done = p.newLabel()
  const parent = p.btf.has(kernfsParent) ? kernfsParent : oldKernfsParent
  p.store(8, frame, slots.key, 0)
  p.move(r9, 0)
  p.follow(r8, r6, ...pathToCgroup(p, hierarchy), 'cgroup.kn')
  p.copy(r7, executed.cgroupId, 8, r8, 'kernfs_node.id')
  for (let level = 0; level < maxLevels; level++) {
    const isNone = p.newLabel()
    // The root has no parent, and its name is empty.
    p.read(8, r1, r8, parent)
    p.jumpIf(r1, '==', 0, done)
    p.store(8, frame, slots.pointer, r1)
    p.follow(r3, r8, 'kernfs_node.name')
    readName(p, limits.cgroupEnd, flags.cgroupTruncated, done)
    // A container's id has 64 digits and may have words around it; r0 counts the NUL.
    p.jumpIf(r0, '<=', 64, isNone)
    // A slice of systemd can be as long: its third letter from the end is an `i`, which no digit and no `.scope` has there.
    p.move(r1, r7)
    p.add(r1, r9)
    p.load(1, r1, r1, executed.tail - 4)
    p.jumpIf(r1, '==', 'i'.charCodeAt(0), isNone)
    p.copy(frame, slots.key, 8, r8, 'kernfs_node.id')
    p.label(isNone)
    p.load(8, r8, frame, slots.pointer)
  }
  addFlag(p, flags.cgroupTruncated)
  p.label(done)
}

const kernfsParent = 'kernfs_node.__parent'
// Its name before Linux 6.15.
const oldKernfsParent = 'kernfs_node.parent'

// Kubernetes with systemd inside of a container has 9.
const maxLevels = 24

function pathToCgroup({ btf }: Program, hierarchy: Hierarchy): Member[] {
  if (hierarchy.version === 2) return ['task_struct.cgroups', 'css_set.dfl_cgrp']
  return [...pathToSubsystem({ btf }, hierarchy.controller), 'cgroup_subsys_state.cgroup']
}

/** From a task to its state in a controller: the `cgroup_subsys_state` of its cgroup. */
export function pathToSubsystem({ btf }: Pick<Program, 'btf'>, controller: string): Member[] {
  const index = btf.enumValue('cgroup_subsys_id', `${controller}_cgrp_id`)
  const pointerBytes = 8
  return ['task_struct.cgroups', btf.offsetOf('css_set.subsys') + index * pointerBytes]
}
