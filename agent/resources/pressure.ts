import type { Stall } from '../model/observation.ts'
import type { ReadText, Usage } from './usage.ts'

/** How long a container's processes waited, from the files that version 2 keeps for every cgroup of a kernel with PSI. */
export function pressureOfCgroup(read: ReadText): Usage['pressure'] {
  return { cpu: stall(read, 'cpu'), memory: stall(read, 'memory'), io: stall(read, 'io') }
}

// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, in microseconds. Before Linux 5.13 cpu.pressure has no line
// `full` (Documentation/accounting/psi.rst).
const someTotal = /^some [^\n]*\btotal=(\d{1,20})$/m
const fullTotal = /^full [^\n]*\btotal=(\d{1,20})$/m

function stall(read: ReadText, resource: string): Stall | null {
  const name = `${resource}.pressure`
  const text = read(name)
  if (text === null) return null
  const some = someTotal.exec(text)
  const full = fullTotal.exec(text)
  if (some === null) throw new Error(`${name} has no total of some`)
  return { someSeconds: Number(some[1]) / 1e6, fullSeconds: full === null ? null : Number(full[1]) / 1e6 }
}

export const noPressure: Usage['pressure'] = { cpu: null, memory: null, io: null }
