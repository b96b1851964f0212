import { loadProgram } from '../../agent/linux/bpf.ts'
import { assembler, r0 } from '../../agent/ebpf/assembler.ts'

/** A program that does nothing but return a number: what is left is what the kernel itself does for any. Its descriptor. */
export function loadEmptyProgram(type: number, result: number): number {
  const code = assembler()
  code.move(r0, result)
  code.exit()
  return loadProgram(type, 'bench_empty', code.assemble())
}
