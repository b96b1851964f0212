import type { RuntimeFileObservation } from './observation.ts'

/** Whether a runtime file is a program, and not configuration or a socket of the engine. */
export function isRuntimeProgram(seen: RuntimeFileObservation): boolean {
  return !('file' in seen) || seen.file === 'binary'
}
