import type { Observation } from '../../agent/model/observation.ts'
import type { Instruments } from './instruments.ts'

/** Which runtime binaries there are, and what they are now. */
export function createRuntimeFileMetrics(make: Instruments) {
  const files = new Map<string, string>()
  make.mirror(
    'tidewatch_runtime_file_info',
    'Always 1 for a file that runs when Docker starts a container; the label has its SHA-256.',
    ['path', 'sha256'],
    () => [...files].map(([path, sha256]) => [{ path, sha256 }, 1] as const),
  )
  return {
    observed(observation: Observation): void {
      if (observation.kind !== 'runtime-file') return
      const { path, after } = observation
      if (after === null) files.delete(path)
      else files.set(path, after.sha256)
    },
  }
}
