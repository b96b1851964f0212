import type { Stall } from '../../model/observation.ts'
import { numberAt, type ReadText, type Usage } from './usage.ts'

// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, in microseconds. Before Linux 5.13 cpu.pressure has no line
// `full` (Documentation/accounting/psi.rst).

/** How long a container's processes waited, from the files that version 2 has for every cgroup on a kernel with PSI. */
export function stall(read: ReadText, resource: 'cpu' | 'memory' | 'io'): Stall | null {
  const name = `${resource}.pressure`
  const text = read(name)
  if (text === null) return null
  const some = totalOf(text, 'some ')
  const full = totalOf(text, 'full ')
  if (some === null) throw new Error(`${name} has no "some" total`)
  return { someSeconds: some / 1e6, fullSeconds: full === null ? null : full / 1e6 }
}

function totalOf(text: string, kind: string): number | null {
  const line = text.startsWith(kind) ? 0 : text.indexOf(`\n${kind}`)
  if (line < 0) return null
  const total = text.indexOf(' total=', line + 1)
  const end = text.indexOf('\n', line + 1)
  return total < 0 || (end >= 0 && total > end) ? null : numberAt(text, total + ' total='.length)
}

export const noPressure: Usage['pressure'] = { cpu: null, memory: null, io: null }
