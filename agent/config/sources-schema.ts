import { z } from 'zod'
import { duration } from './units.ts'

const resources = z
  .strictObject({
    interval: duration('5s', { min: '1s', max: '5m' }).describe('Sampling interval of running containers.'),
    near_interval: duration('1s', { min: '200ms', max: '5m' }).describe(
      'Sampling interval of containers near a limit; never longer than interval.',
    ),
    near_ratio: z
      .number()
      .gt(0)
      .max(1)
      .default(0.8)
      .describe('Fraction (0 to 1) of the memory or pids limit from which a container counts as near it.'),
  })
  .prefault({})

const processes = z
  .strictObject({
    mode: z
      .enum(['auto', 'ebpf', 'connector', 'procfs'])
      .default('auto')
      .describe('How processes are observed; auto selects the best mode that works on this host.'),
    interval: duration('1s', { min: '200ms', max: '1m' }).describe('How often /proc is read in procfs mode.'),
  })
  .prefault({})

const runtimeFiles = z
  .strictObject({
    paths: z
      .array(z.string().startsWith('/', 'expected an absolute path'))
      .default([])
      .describe('Additional files to watch, besides the runtime binaries found automatically.'),
    accepted: z
      .array(z.string().regex(/^[0-9a-f]{64}$/i, 'expected a SHA-256 digest: 64 hexadecimal digits'))
      .transform((digests) => digests.map((digest) => digest.toLowerCase()))
      .default([])
      .describe(
        'SHA-256 digests of runtime binaries that no package provides, such as those from an archive.',
      ),
    interval: duration('1m', { min: '1s', max: '1d' }).describe(
      'How often the files are located and checked, even without an event; they are hashed once an hour.',
    ),
  })
  .prefault({})

const containerMasks = z
  .strictObject({
    interval: duration('5m', { min: '1s', max: '1d' }).describe(
      'How often the masked paths of a running container are checked, after the two checks at its start.',
    ),
  })
  .prefault({})

/** The section `sources`. */
export const sourcesSchema = z
  .strictObject({ resources, processes, runtime_files: runtimeFiles, container_masks: containerMasks })
  .prefault({})
