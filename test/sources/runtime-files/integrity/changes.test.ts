import test from 'ava'
import type { FileState } from '../../../../agent/model/observation.ts'
import { changesBetween, type Deed } from '../../../../agent/sources/runtime-files/integrity/changes.ts'
import { sampleFileState as file } from '../../../support/samples.ts'

const otherBytes = { ...file, sha256: 'bb' }
const otherMode = { ...file, mode: 0o4755 }
const otherFile = { ...file, inode: 11, sha256: 'cc' }

type NamedDeed = Deed & { by: string }
const deed = (by: string, what: Partial<Deed>): NamedDeed => ({
  by,
  modified: false,
  closed: false,
  attributes: false,
  entry: false,
  ...what,
})

type Row = [before: FileState | null, after: FileState | null, deeds: NamedDeed[], changes: string[]]

const rows: Record<string, Row> = {
  'nothing seen and nothing different': [file, file, [], []],
  'a write and its end': [file, otherBytes, [deed('a', { modified: true, closed: true })], ['written by a']],
  'a write of the same bytes': [file, file, [deed('a', { modified: true, closed: true })], ['written by a']],
  'a write that goes on': [file, otherBytes, [deed('a', { modified: true })], ['written by a']],
  'a write through mmap': [file, otherBytes, [deed('a', { closed: true })], ['written by a']],
  'opened for writing and closed': [file, file, [deed('a', { closed: true })], []],
  'a further link, or other times': [file, file, [deed('a', { attributes: true })], []],
  'another mode': [file, otherMode, [deed('a', { attributes: true })], ['attributes by a']],
  'another owner': [file, { ...file, uid: 12 }, [deed('a', { attributes: true })], ['attributes by a']],
  'another group': [file, { ...file, gid: 12 }, [deed('a', { attributes: true })], ['attributes by a']],
  'two writers': [
    file,
    otherBytes,
    [deed('a', { modified: true }), deed('b', { modified: true })],
    ['written by a', 'written by b'],
  ],
  'one writes, another changes the mode': [
    file,
    { ...otherBytes, mode: 0o4755 },
    [deed('a', { modified: true }), deed('b', { attributes: true })],
    ['written by a', 'attributes by b'],
  ],
  'one changes the mode while another writes unseen': [
    file,
    { ...otherBytes, mode: 0o4755 },
    [deed('b', { attributes: true })],
    ['attributes by b', 'written by nobody'],
  ],
  'a rename over it': [file, otherFile, [deed('a', { entry: true })], ['replaced by a']],
  'a rename over it by the same bytes': [
    file,
    { ...file, inode: 11 },
    [deed('a', { entry: true })],
    ['replaced by a'],
  ],
  'away and back': [file, file, [deed('a', { entry: true })], ['replaced by a']],
  'removed and made anew with the same inode': [
    file,
    otherBytes,
    [deed('a', { entry: true, attributes: true }), deed('b', { entry: true })],
    ['replaced by a', 'replaced by b'],
  ],
  removal: [file, null, [deed('a', { entry: true, attributes: true })], ['removed by a']],
  'made and removed again between two looks': [null, null, [deed('a', { entry: true })], []],
  'put back': [null, file, [deed('a', { entry: true })], ['replaced by a']],
  'written before it was removed by another': [
    file,
    null,
    [deed('a', { modified: true }), deed('b', { entry: true })],
    ['removed by b'],
  ],
  'other bytes, nobody seen': [file, otherBytes, [], ['written by nobody']],
  'another size and the same digest, as of a file too big to hash whole': [
    file,
    { ...file, sizeBytes: 4 },
    [],
    ['written by nobody'],
  ],
  'another mode, nobody seen': [file, otherMode, [], ['attributes by nobody']],
  'another file, nobody seen': [file, otherFile, [], ['replaced by nobody']],
  'another device, nobody seen': [file, { ...file, device: 2 }, [], ['replaced by nobody']],
  'gone, nobody seen': [file, null, [], ['removed by nobody']],
  'back, nobody seen': [null, file, [], ['replaced by nobody']],
}

for (const [what, [before, after, deeds, expected]] of Object.entries(rows)) {
  test(`${what}: ${expected.join(' and ') || 'no change'}`, (t) => {
    const changes = changesBetween(before, after, deeds)
    t.deepEqual(
      changes.map(({ change, by }) => `${change} by ${by?.by ?? 'nobody'}`),
      expected,
    )
  })
}
