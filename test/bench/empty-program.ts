import { loadProgram } from '../../agent/linux/bpf.ts'
import { assembler, r0 } from '../../agent/ebpf/assembler.ts'

/**
 * Loads a program that only returns a number, to measure the kernel's overhead for any program; returns its
 * descriptor.
 */
export function loadEmptyProgram(type: number, result: number): number {
  const code = assembler()
  code.move(r0, result)
  code.exit()
  return loadProgram(type, 'bench_empty', code.assemble())
}
