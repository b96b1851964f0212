import { frame, r0, r1, r3, r6, r7, r8, r9 } from './assembler.ts'
import { addFlag, readName } from './paths.ts'
import { cgroupFields, cgroupTruncated, maxCgroupEnd } from './layout.ts'
import { type Member, type Program, slots } from './program.ts'

/** The cgroup hierarchy that containers are in: v2, or that of a v1 controller. */
export type Hierarchy = { version: 2 } | { version: 1; controller: string }

/**
 * Walks from the cgroup of the task in r6 to the root. Writes the names to the record's tail, the leaf first; r9 =
 * their end. Sets `slots.key` to the id of the outermost cgroup whose name looks like a container's, or 0. Uses r8.
 */
export function readCgroups(p: Program, hierarchy: Hierarchy): void {
  const done = p.newLabel()
  const parent = p.btf.has(kernfsParent) ? kernfsParent : oldKernfsParent
  p.store(8, frame, slots.key, 0)
  p.move(r9, 0)
  p.follow(r8, r6, ...pathToCgroup(p, hierarchy), 'cgroup.kn')
  p.copy(r7, cgroupFields.cgroupId, 8, r8, 'kernfs_node.id')
  for (let level = 0; level < maxLevels; level++) {
    const isNone = p.newLabel()
    // The root has no parent, and its name is empty.
    p.read(8, r1, r8, parent)
    p.jumpIf(r1, '==', 0, done)
    p.store(8, frame, slots.pointer, r1)
    p.follow(r3, r8, 'kernfs_node.name')
    readName(p, maxCgroupEnd, cgroupTruncated, done)
    // A container id has 64 digits and may have a prefix and a suffix; r0 includes the NUL.
    p.jumpIf(r0, '<=', 64, isNone)
    // A systemd slice can be as long. Its third letter from the end is an `i`, unlike that of an id or `.scope`.
    p.move(r1, r7)
    p.add(r1, r9)
    p.load(1, r1, r1, cgroupFields.tail - 4)
    p.jumpIf(r1, '==', 'i'.charCodeAt(0), isNone)
    p.copy(frame, slots.key, 8, r8, 'kernfs_node.id')
    p.label(isNone)
    p.load(8, r8, frame, slots.pointer)
  }
  addFlag(p, cgroupTruncated)
  p.label(done)
}

const kernfsParent = 'kernfs_node.__parent'
// The name before Linux 6.15.
const oldKernfsParent = 'kernfs_node.parent'

// Kubernetes with systemd inside a container has 9.
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
