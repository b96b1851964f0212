import test from 'ava'
import { Titles } from './titles.ts'

const files = [
  'test/sources/docker/engine.test.ts',
  'test/sources/resources/engine.test.ts',
  'test/e2e/detections.test.ts',
]

test('a title gets the full prefix of its file, and identifies the file', (t) => {
  const titles = new Titles(files)
  t.is(titles.whole('docker › engine › a › b'), 'sources › docker › engine › a › b')
  t.is(titles.whole('detections › a claim'), 'e2e › detections › a claim')
  t.is(titles.fileOf('detections › a claim'), 'test/e2e/detections.test.ts')
  t.is(titles.fileOf('docker › engine › a claim'), 'test/sources/docker/engine.test.ts')
})

test('an ambiguous title belongs to no file', (t) => {
  t.is(new Titles(files).fileOf('engine › a claim'), undefined)
})

test('a title without a prefix belongs to the only file', (t) => {
  t.is(new Titles(['test/e2e/detections.test.ts']).whole('a claim'), 'e2e › detections › a claim')
})
