import type { RuntimeFileObservation } from './observation.ts'

/** Whether a runtime file is a program: what configures the engine, and its sockets, are watched with other aims. */
export function isRuntimeProgram(seen: RuntimeFileObservation): boolean {
  return !('file' in seen) || seen.file === 'binary'
}
