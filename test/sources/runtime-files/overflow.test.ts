import test from 'ava'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { watchDecoy } from './decoy.ts'

// By itself in its file, and so in its process: it blocks the loop, which is how a queue overflows.
test('lost events are told, and what they would have said is found by hashing', async (t) => {
  const decoy = await watchDecoy(t)
  // The queue holds 16,384 events; nobody reads it while we make more in this very turn of the loop.
  for (let i = 0; i < 17_000; i++) writeFileSync(join(decoy.folder, String(i)), '')
  writeFileSync(decoy.path, 'evil')
  const changes = await decoy.settled(1)
  t.like(decoy.lost, [{ source: 'runtime-files', reason: 'overflow', count: 1 }])
  t.like(changes, [{ change: 'written', after: { sizeBytes: 4 }, writer: null }])
})
