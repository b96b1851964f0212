import { z } from 'zod'
import { duration } from './units.ts'

const resources = z
  .strictObject({
    interval: duration('5s', { min: '1s', max: '5m' }).describe(
      'How often every running container is sampled.',
    ),
    near_interval: duration('1s', { min: '200ms', max: '5m' }).describe(
      'How often one is sampled that is near a limit; no more seldom than the others.',
    ),
    near_ratio: z
      .number()
      .gt(0)
      .max(1)
      .default(0.8)
      .describe('Share of its memory or pids limit, 0 to 1, from which a container is near it.'),
  })
  .prefault({})

const processes = z
  .strictObject({
    mode: z
      .enum(['auto', 'ebpf', 'connector', 'procfs'])
      .default('auto')
      .describe('How processes are seen; auto takes the best that works here.'),
    interval: duration('1s', { min: '200ms', max: '1m' }).describe('How often /proc is read in mode procfs.'),
  })
  .prefault({})

const runtimeFiles = z
  .strictObject({
    paths: z
      .array(z.string().startsWith('/', 'expected an absolute path'))
      .default([])
      .describe('Files to watch beside the runtime binaries that are found.'),
    accepted: z
      .array(z.string().regex(/^[0-9a-f]{64}$/i, 'expected a SHA-256 digest: 64 hexadecimal digits'))
      .transform((digests) => digests.map((digest) => digest.toLowerCase()))
      .default([])
      .describe('SHA-256 digests of runtime binaries that no package brings, such as those of an archive.'),
    interval: duration('1m', { min: '1s', max: '1d' }).describe(
      'How often files are searched for and looked at without cause; once an hour they are read whole.',
    ),
  })
  .prefault({})

const containerMasks = z
  .strictObject({
    interval: duration('5m', { min: '1s', max: '1d' }).describe(
      'How often a running container’s masks are looked at, after the two looks at its start.',
    ),
  })
  .prefault({})

/** How what happens is observed: the section `sources`. */
export const sourcesSchema = z
  .strictObject({ resources, processes, runtime_files: runtimeFiles, container_masks: containerMasks })
  .prefault({})
