import test from 'ava'
import type { Observation } from '../../../agent/model/observation.ts'
import { createInstruments, createRegistries } from '../../../exporters/prometheus/instruments.ts'
import { createRuntimeFileMetrics } from '../../../exporters/prometheus/runtime-file-metrics.ts'
import { sampleFileState, sampleRuntimeFile } from '../../support/samples.ts'

const packed = { manager: 'dpkg', name: 'runc', version: '1.1.5', matches: true } as const
const found = sampleRuntimeFile({ change: 'found', before: null, after: sampleFileState })
const verified = sampleRuntimeFile({ change: 'verified', after: sampleFileState, package: packed })

/** The series after these observations. */
async function series(...seen: Observation[]): Promise<string[]> {
  const registries = createRegistries()
  const metrics = createRuntimeFileMetrics(createInstruments(registries))
  for (const one of seen) metrics.observed(one)
  const text = await registries.text.metrics()
  return text.split('\n').filter((line) => line.startsWith('tidewatch_'))
}

const info = (sha256: string, of: string, version: string) =>
  `tidewatch_runtime_file_info{path="/usr/sbin/runc",sha256="${sha256}",package="${of}",version="${version}"} 1`

test('a program’s digest is exposed first, and its package once it is known', async (t) => {
  t.deepEqual(await series(found), [info('aa', '', '')])
  t.deepEqual(await series(found, verified), [info('aa', 'runc', '1.1.5')])
})

test('a changed program gets the new digest, and a removed one has no series', async (t) => {
  t.deepEqual(await series(found, verified, sampleRuntimeFile()), [info('bb', 'runc', '1.1.5')])
  t.deepEqual(await series(found, verified, sampleRuntimeFile({ package: null, change: 'verified' })), [
    info('bb', '', ''),
  ])
  t.deepEqual(await series(found, sampleRuntimeFile({ change: 'removed', after: null })), [])
})

test('a change without a digest is ignored, and so are configuration files', async (t) => {
  const early = sampleRuntimeFile({ after: { ...sampleFileState, sha256: '' } })
  t.deepEqual(await series(found, early), [info('aa', '', '')])
  t.deepEqual(await series({ ...found, file: 'configuration' }), [])
})

test('known hardening measures are 0 or 1', async (t) => {
  const measures = { 'userns-remap': false, seccomp: true }
  t.deepEqual(await series({ kind: 'host-hardening', time: 1, measures }), [
    'tidewatch_host_hardening{measure="userns-remap"} 0',
    'tidewatch_host_hardening{measure="seccomp"} 1',
  ])
})
