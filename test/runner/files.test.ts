import { join } from 'node:path'
import test from 'ava'
import { byNeeds, testFiles } from './files.ts'
import { canShareProcess } from './groups.ts'

const root = join(import.meta.dirname, '../..')
const files = testFiles(root)
const needs = byNeeds(root, files)

test('each test file is in one lane, except those for the booted host', (t) => {
  t.deepEqual([...needs.unit, ...needs.daemon, ...needs.containers].toSorted(), files)
  t.false(files.some((file) => file.startsWith('test/host/')))
})

test('the direct and indirect imports of a file determine its needs', (t) => {
  t.true(needs.containers.includes('test/e2e/detections.test.ts'))
  t.true(needs.containers.includes('test/sources/resources/engine.test.ts'))
  t.true(needs.daemon.includes('test/exporters/web/browser.test.ts'))
  t.true(needs.unit.includes('test/policy/allow.test.ts'))
})

test('files with hooks or serial tests have their own process', (t) => {
  t.false(canShareProcess(root, 'test/e2e/detections.test.ts'))
  t.false(canShareProcess(root, 'test/ebpf/loader.test.ts'))
  t.true(canShareProcess(root, 'test/policy/allow.test.ts'))
})
