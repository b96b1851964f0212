import test from 'ava'
import { detectorConfigFor } from '../../agent/config/schema.ts'
import { configuration } from '../../agent/daemon/configuration.ts'
import { awaitedEvents } from '../../agent/findings/superseding-rules.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { detectors } from '../../detectors/index.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'

const entry = { rule: 'untracked-exec', eventKey: 'a1' }
const superseded = sampleDetection({
  rule: 'root-in-nonroot-container',
  eventKey: 'p1',
  supersedingEventKey: entry.eventKey,
})

const { supersedingEventKey: _key, ...withoutKey } = superseded

function awaited(detection: Detection = superseded, config: object = {}, isReported = false) {
  const parsed = configuration.parseValue(config)
  if (!('config' in parsed)) throw new Error(JSON.stringify(parsed.issues))
  const awaitedBy = awaitedEvents({
    detectors,
    configOf: (name, container) => detectorConfigFor(parsed.config, name, container),
    isReported: ({ rule, eventKey }) => isReported && rule === entry.rule && eventKey === entry.eventKey,
  })
  return awaitedBy(unexpectedRootProcess, detection)
}

test('a detection waits for the event that its rule declares and whose key it names', (t) => {
  t.deepEqual(awaited(), [entry])
})

test('a detection without a key, of another rule, or that updates a finding does not wait', (t) => {
  t.deepEqual(awaited(withoutKey), [])
  t.deepEqual(awaited({ ...superseded, rule: 'privilege-escalation' }), [])
  t.deepEqual(awaited({ ...superseded, isUpdate: true }), [])
})

test('no detection waits for an event that was reported before', (t) => {
  t.deepEqual(awaited(superseded, {}, true), [])
})

test('no detection waits for a rule that is disabled in its container', (t) => {
  const off = { rules: { 'untracked-exec': { enabled: false } } }
  const inDb = { overrides: [{ match: { name: 'db-*' }, ...off }] }
  t.deepEqual(awaited(superseded, { detectors: { 'exec-into-container': off } }), [])
  t.deepEqual(awaited(superseded, { detectors: { 'exec-into-container': { enabled: false } } }), [])
  t.deepEqual(awaited(superseded, { detectors: { 'exec-into-container': inDb } }), [entry])
  const container = sampleContainer({ name: 'db-1' })
  t.deepEqual(awaited({ ...superseded, container }, { detectors: { 'exec-into-container': inDb } }), [])
})

test('a detection of a disabled rule does not wait', (t) => {
  t.deepEqual(awaited(superseded, { detectors: { 'unexpected-root-process': { enabled: false } } }), [])
})
