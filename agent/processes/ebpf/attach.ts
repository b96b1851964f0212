import { messageOf } from '../../errors.ts'
import { kernelBtf } from '../../kernel/kernel-btf.ts'
import type { Surroundings } from '../mode.ts'
import { execProgram } from './exec.ts'
import { exitProgram } from './exit.ts'
import { forkProgram } from './fork.ts'
import { findHierarchy } from './hierarchy.ts'
import { oomVictimProgram, victimArgument } from './oom-victim.ts'
import { canSeeRequests, requestProgram } from './request.ts'
import { type Runtime, startRuntime, type TracepointProgram } from './runtime.ts'

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
