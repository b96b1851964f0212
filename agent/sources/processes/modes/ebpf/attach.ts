import { messageOf } from '../../../../lib/errors.ts'
import { kernelBtf } from '../../../../linux/kernel-btf.ts'
import type { Surroundings } from '../mode.ts'
import { execProgram } from './exec/program.ts'
import { exitProgram } from './exit/program.ts'
import { forkProgram } from './fork/program.ts'
import { findHierarchy } from '../../../../ebpf/hierarchy.ts'
import { oomVictimProgram, victimArgument } from './oom-victim/program.ts'
import { canSeeRequests, requestProgram } from './request/program.ts'
import { type Runtime, startRuntime, type TracepointProgram } from '../../../../ebpf/loader.ts'

/** `refused` is why this kernel does not tell of requests although it should, or empty. */
type Attachment = { runtime: Runtime; seesRequests: boolean; refused: string }

/** Attaches the programs that this kernel has tracepoints for: an older one lacks that of requests, and is none the worse. */
export function attach({ procRoot, budget, ringBytes, apiSockets }: Surroundings): Attachment {
  const btf = kernelBtf()
  const hierarchy = findHierarchy(procRoot)
  const argument = victimArgument(btf)
  const victims = argument === null ? [] : [oomVictimProgram(argument)]
  const programs = [exitProgram, forkProgram, execProgram, ...victims]
  const start = (all: readonly TracepointProgram[]) =>
    startRuntime({ btf, programs: all, hierarchy, budget, ringBytes })
  if (apiSockets.length === 0 || !canSeeRequests(btf))
    return { runtime: start(programs), seesRequests: false, refused: '' }
  try {
    const runtime = start([...programs, requestProgram(apiSockets)])
    return { runtime, seesRequests: true, refused: '' }
  } catch (error) {
    const refused = `who asks for an exec is seen by its command line only: ${messageOf(error)}`
    return { runtime: start(programs), seesRequests: false, refused }
  }
}
