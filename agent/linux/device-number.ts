/** A device number as stat(2) returns it (`new_encode_dev` in the kernel's linux/kdev_t.h). */
export function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}

/** Converts the kernel's internal encoding: 12 bits of major, 20 of minor. */
export function deviceNumberOfKernel(device: number): number {
  return deviceNumber(device >>> 20, device & 0xfffff)
}
