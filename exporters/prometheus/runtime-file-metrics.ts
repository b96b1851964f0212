import { hardeningMeasures, type HostHardening, type Observation } from '../../agent/model/observation.ts'
import type { Instruments } from './instruments.ts'

/** Which runtime binaries there are, what they are now, and what keeps them from being changed. */
export function createRuntimeFileMetrics(make: Instruments) {
  const files = new Map<string, { sha256: string; package: string; version: string }>()
  let measures: HostHardening['measures'] = {}
  make.mirror(
    'tidewatch_runtime_file_info',
    'Always 1 for a program that runs when Docker starts a container; package and version are empty where no package has it.',
    ['path', 'package', 'version', 'sha256'],
    () => [...files].map(([path, file]) => [{ path, ...file }, 1] as const),
  )
  make.mirror(
    'tidewatch_host_hardening',
    '1 where a measure that stops breakouts through the runtime is in force for every file, 0 where not.',
    ['measure'],
    () =>
      hardeningMeasures.flatMap((measure) => {
        const inForce = measures[measure]
        return inForce === undefined ? [] : [[{ measure }, inForce ? 1 : 0] as const]
      }),
  )
  return {
    observed(observation: Observation): void {
      if (observation.kind === 'host-hardening') measures = observation.measures
      if (observation.kind !== 'runtime-file' || observation.file !== 'binary') return
      const { path, after } = observation
      // Told before it was read: the digest comes in a moment.
      if (after?.sha256 === '') return
      if (after === null) {
        files.delete(path)
        return
      }
      const { name: packageName, version } =
        observation.change === 'verified'
          ? (observation.package ?? { name: '', version: '' })
          : { name: files.get(path)?.package ?? '', version: files.get(path)?.version ?? '' }
      files.set(path, { sha256: after.sha256, package: packageName, version })
    },
  }
}
