import test from 'ava'
import { Titles } from './titles.ts'

const files = [
  'test/sources/docker/engine.test.ts',
  'test/sources/resources/engine.test.ts',
  'test/e2e/acts.test.ts',
]

test('a title gets the whole prefix of its file, and names the file', (t) => {
  const titles = new Titles(files)
  t.is(titles.whole('docker › engine › a › b'), 'sources › docker › engine › a › b')
  t.is(titles.whole('acts › a claim'), 'e2e › acts › a claim')
  t.is(titles.fileOf('acts › a claim'), 'test/e2e/acts.test.ts')
  t.is(titles.fileOf('docker › engine › a claim'), 'test/sources/docker/engine.test.ts')
})

test('a title that several files could have is of none', (t) => {
  t.is(new Titles(files).fileOf('engine › a claim'), undefined)
})

test('a title of a run of one file has no prefix', (t) => {
  t.is(new Titles(['test/e2e/acts.test.ts']).whole('a claim'), 'e2e › acts › a claim')
})
