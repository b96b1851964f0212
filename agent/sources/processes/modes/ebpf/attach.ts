import { messageOf } from '../../../../lib/errors.ts'
import { kernelBtf } from '../../../../linux/btf/kernel-btf.ts'
import type { ModeContext } from '../mode.ts'
import { execProgram } from './exec/program.ts'
import { exitProgram } from './exit/program.ts'
import { forkProgram } from './fork/program.ts'
import { findHierarchy } from '../../../../ebpf/hierarchy.ts'
import { oomVictimProgram, victimArgument } from './oom-victim/program.ts'
import { canSeeRequests, requestProgram } from './request/program.ts'
import { type Runtime, startRuntime, type TracepointProgram } from '../../../../ebpf/loader.ts'

/** `refused` is the reason why the request program failed although the kernel should support it, or empty. */
type Attachment = { runtime: Runtime; seesRequests: boolean; refused: string }

/**
 * Attaches the programs that this kernel has tracepoints for. An older kernel without the request one is not
 * degraded.
 */
export function attach({ procRoot, budget, ringBytes, apiSockets }: ModeContext): Attachment {
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
    const refused = `the callers of docker exec are identified by command line only: ${messageOf(error)}`
    return { runtime: start(programs), seesRequests: false, refused }
  }
}
