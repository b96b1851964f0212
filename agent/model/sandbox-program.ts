import { baseName } from '../lib/text.ts'

/** Whether a program is a runtime that gives containers a kernel or a procfs of their own, by its name or path. */
export function isSandboxProgram(text: string): boolean {
  return sandbox.test(baseName(text))
}

// gVisor (runsc), Kata Containers, Sysbox (which emulates parts of /proc and /sys), libkrun, Firecracker, Quark, urunc.
const sandbox = /(?:^|[-._])(?:runsc|gvisor|kata|sysbox|krun|firecracker|quark|urunc)(?:$|[-._])/
