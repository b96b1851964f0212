import test from 'ava'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { watchDecoy } from './decoy.ts'

// In a file of its own, and so in a process of its own: it blocks the event loop, which makes the queue overflow.
test('lost events are reported, and hashing finds the changes that they missed', async (t) => {
  const decoy = await watchDecoy(t)
  // The queue holds 16,384 events, and nothing reads it while this turn of the loop creates more.
  for (let i = 0; i < 17_000; i++) writeFileSync(join(decoy.folder, String(i)), '')
  writeFileSync(decoy.path, 'evil')
  const changes = await decoy.settled(1)
  t.like(decoy.lost, [{ source: 'runtime-files', reason: 'overflow', count: 1 }])
  t.like(changes, [{ change: 'written', after: { sizeBytes: 4 }, writer: null }])
})
