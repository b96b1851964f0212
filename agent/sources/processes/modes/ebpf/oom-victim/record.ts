import { cgroupFields, maxCgroupEnd } from '../../../../../ebpf/layout.ts'

/**
 * The fields of an OOM victim record behind the common header. If only a thread id is known, all other fields are 0.
 */
export const victimRecord = {
  threadId: 36, // u32, if the kernel reports only that; else 0
  isGroup: 40, // u32, 1 if its whole cgroup is killed
  namespaceLevel: 44, // u32, depth of its pid namespace; 0 is the host's
  namespacePid: 48, // u32, its pid in that namespace
  length: cgroupFields.tail + maxCgroupEnd,
} as const
