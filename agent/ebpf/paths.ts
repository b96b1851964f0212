import { frame, r0, r1, r2, r3, r7, r8, r9 } from './assembler.ts'
import { cgroupFields, nameBytes, tailMask } from './layout.ts'
import { helpers, type Program, slots } from './program.ts'

export type PathOptions = {
  /** End of the space in the tail that the path may use. */
  limit: number
  /** Flags to set in the record. */
  truncated: number
  deleted: number
}

/**
 * Walks from the `struct path` that r8 points to, across mounts, to the root of its mount namespace, as d_path() of
 * the kernel's fs/d_path.c does. Writes the names to the record's tail at r9, the last first. Uses r8.
 */
export function readPath(p: Program, { limit, truncated, deleted }: PathOptions): void {
  const done = p.newLabel()
  const start = p.newLabel()
  p.read(8, r1, r8, 'path.mnt')
  p.store(8, frame, slots.pointer, r1)
  p.follow(r8, r8, 'path.dentry')

  jumpAtMountRoot(p, start)
  p.read(8, r1, r8, 'dentry.d_hash.pprev')
  p.jumpIf(r1, '!=', 0, start)
  addFlag(p, deleted)
  p.label(start)

  for (let step = 0; step < maxSteps; step++) {
    const cross = p.newLabel()
    const next = p.newLabel()
    jumpAtMountRoot(p, cross)
    p.follow(r3, r8, 'dentry.d_name.name')
    readName(p, limit, truncated, done)
    p.read(8, r1, r8, 'dentry.d_parent')
    // A file without a directory, such as a memfd.
    p.jumpIf(r1, '==', r8, done)
    p.move(r8, r1)
    p.jump(next)
    p.label(cross)
    crossMount(p, done)
    p.label(next)
  }
  addFlag(p, truncated)
  p.label(done)
}

/** Names plus mounts; the deepest path of a typical Debian host has 9. */
const maxSteps = 40

/** Reads the string that r3 points to into the tail at r9 and advances r9; r0 = its length including the NUL. */
export function readName(p: Program, limit: number, truncated: number, done: string): void {
  const fits = p.newLabel()
  p.jumpIf(r9, '<=', limit - nameBytes, fits)
  addFlag(p, truncated)
  p.jump(done)
  p.label(fits)
  p.move(r1, r7)
  p.add(r1, r9)
  p.add(r1, cgroupFields.tail)
  p.move(r2, nameBytes)
  p.call(helpers.readKernelString)
  p.jumpIf(r0, 'signed <=', 0, done)
  // Never true, but the verifier of some kernels needs the check.
  p.jumpIf(r0, 'signed >', nameBytes, done)
  p.add(r9, r0)
  p.and(r9, tailMask)
}

/** Sets a flag in the record. */
export function addFlag(p: Program, flag: number): void {
  p.load(4, r1, r7, cgroupFields.flags)
  p.or(r1, flag)
  p.store(4, r7, cgroupFields.flags, r1)
}

function jumpAtMountRoot(p: Program, to: string): void {
  p.load(8, r1, frame, slots.pointer)
  p.read(8, r1, r1, 'vfsmount.mnt_root')
  p.jumpIf(r1, '==', r8, to)
}

/** Moves from a mount's root to the directory that it is mounted on. */
function crossMount(p: Program, done: string): void {
  const inMount = p.btf.offsetOf('mount.mnt')
  p.load(8, r1, frame, slots.pointer)
  p.subtract(r1, inMount)
  p.read(8, r1, r1, 'mount.mnt_parent')
  p.add(r1, inMount)
  p.load(8, r2, frame, slots.pointer)
  // The root of the namespace, or a detached mount.
  p.jumpIf(r1, '==', r2, done)
  p.store(8, frame, slots.pointer, r1)
  p.subtract(r2, inMount)
  p.read(8, r8, r2, 'mount.mnt_mountpoint')
}
