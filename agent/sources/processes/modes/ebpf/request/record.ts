import { cgroupFields, maxCgroupEnd } from '../../../../../ebpf/layout.ts'

/** The fields of a request record behind the common header: data written to a socket, and the writer's cgroup. */
export const requested = {
  ...cgroupFields,
  textBytes: 36, // u32, 0 if it could not be read
  connection: 40, // u64
  text: cgroupFields.tail + maxCgroupEnd,
  maxText: 256,
  length: cgroupFields.tail + maxCgroupEnd + 256,
} as const
