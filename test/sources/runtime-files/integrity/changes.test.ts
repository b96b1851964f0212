import test from 'ava'
import type { FileState } from '../../../../agent/model/observation.ts'
import {
  changesBetween,
  type FileOperation,
} from '../../../../agent/sources/runtime-files/integrity/changes.ts'
import { sampleFileState as file } from '../../../support/samples.ts'

const otherBytes = { ...file, sha256: 'bb' }
const otherMode = { ...file, mode: 0o4755 }
const otherFile = { ...file, inode: 11, sha256: 'cc' }

type NamedOperation = FileOperation & { by: string }
const operation = (by: string, what: Partial<FileOperation>): NamedOperation => ({
  by,
  modified: false,
  closed: false,
  attributes: false,
  entry: false,
  ...what,
})

type Row = [
  before: FileState | null,
  after: FileState | null,
  operations: NamedOperation[],
  changes: string[],
]

const rows: Record<string, Row> = {
  'no operation and no difference': [file, file, [], []],
  'a write and its end': [
    file,
    otherBytes,
    [operation('a', { modified: true, closed: true })],
    ['written by a'],
  ],
  'a write of the same bytes': [
    file,
    file,
    [operation('a', { modified: true, closed: true })],
    ['written by a'],
  ],
  'a write that continues': [file, otherBytes, [operation('a', { modified: true })], ['written by a']],
  'a write through mmap': [file, otherBytes, [operation('a', { closed: true })], ['written by a']],
  'opened for writing and closed': [file, file, [operation('a', { closed: true })], []],
  'another link, or other times': [file, file, [operation('a', { attributes: true })], []],
  'another mode': [file, otherMode, [operation('a', { attributes: true })], ['attributes by a']],
  'another owner': [file, { ...file, uid: 12 }, [operation('a', { attributes: true })], ['attributes by a']],
  'another group': [file, { ...file, gid: 12 }, [operation('a', { attributes: true })], ['attributes by a']],
  'two writers': [
    file,
    otherBytes,
    [operation('a', { modified: true }), operation('b', { modified: true })],
    ['written by a', 'written by b'],
  ],
  'one writes, another changes the mode': [
    file,
    { ...otherBytes, mode: 0o4755 },
    [operation('a', { modified: true }), operation('b', { attributes: true })],
    ['written by a', 'attributes by b'],
  ],
  'one changes the mode while an unknown process writes': [
    file,
    { ...otherBytes, mode: 0o4755 },
    [operation('b', { attributes: true })],
    ['attributes by b', 'written by an unknown process'],
  ],
  'a rename over it': [file, otherFile, [operation('a', { entry: true })], ['replaced by a']],
  'a rename over it by the same bytes': [
    file,
    { ...file, inode: 11 },
    [operation('a', { entry: true })],
    ['replaced by a'],
  ],
  'moved away and back': [file, file, [operation('a', { entry: true })], ['replaced by a']],
  'removed and created again with the same inode': [
    file,
    otherBytes,
    [operation('a', { entry: true, attributes: true }), operation('b', { entry: true })],
    ['replaced by a', 'replaced by b'],
  ],
  removal: [file, null, [operation('a', { entry: true, attributes: true })], ['removed by a']],
  'created and removed between two checks': [null, null, [operation('a', { entry: true })], []],
  restored: [null, file, [operation('a', { entry: true })], ['replaced by a']],
  'written before it was removed by another': [
    file,
    null,
    [operation('a', { modified: true }), operation('b', { entry: true })],
    ['removed by b'],
  ],
  'other bytes without an operation': [file, otherBytes, [], ['written by an unknown process']],
  'another size with the same digest, as for a file too big to hash completely': [
    file,
    { ...file, sizeBytes: 4 },
    [],
    ['written by an unknown process'],
  ],
  'another mode without an operation': [file, otherMode, [], ['attributes by an unknown process']],
  'another file without an operation': [file, otherFile, [], ['replaced by an unknown process']],
  'another device without an operation': [
    file,
    { ...file, device: 2 },
    [],
    ['replaced by an unknown process'],
  ],
  'removed without an operation': [file, null, [], ['removed by an unknown process']],
  'created without an operation': [null, file, [], ['replaced by an unknown process']],
}

for (const [what, [before, after, operations, expected]] of Object.entries(rows)) {
  test(`${what}: ${expected.join(' and ') || 'no change'}`, (t) => {
    const changes = changesBetween(before, after, operations)
    t.deepEqual(
      changes.map(({ change, by }) => `${change} by ${by?.by ?? 'an unknown process'}`),
      expected,
    )
  })
}
