import { baseName } from '../lib/text.ts'

/** Whether a name or path is that of a runtime that gives containers their own kernel or procfs. */
export function isSandboxProgram(text: string): boolean {
  return sandbox.test(baseName(text))
}

// gVisor (runsc), Kata Containers, Sysbox (which emulates parts of /proc and /sys), libkrun, Firecracker, Quark,
// urunc.
const sandbox = /(?:^|[-._])(?:runsc|gvisor|kata|sysbox|krun|firecracker|quark|urunc)(?:$|[-._])/
