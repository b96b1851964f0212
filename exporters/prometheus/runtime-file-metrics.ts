import { hardeningMeasures, type HostHardening, type Observation } from '../../agent/model/observation.ts'
import type { Instruments } from './instruments.ts'

/** The runtime binaries, their digests and packages, and the measures that protect them from changes. */
export function createRuntimeFileMetrics(make: Instruments) {
  const files = new Map<string, { sha256: string; package: string; version: string }>()
  let measures: HostHardening['measures'] = {}
  make.mirror(
    'tidewatch_runtime_file_info',
    'Always 1 for a program that Docker runs to start a container; package and version are empty if it belongs to no package.',
    ['path', 'package', 'version', 'sha256'],
    () => [...files].map(([path, file]) => [{ path, ...file }, 1] as const),
  )
  make.mirror(
    'tidewatch_host_hardening',
    '1 if a measure that stops breakouts through the runtime is in effect for every file, 0 if not.',
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
      // Reported before the file was read: the digest follows shortly.
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
