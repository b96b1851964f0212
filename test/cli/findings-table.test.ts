import { rmSync } from 'node:fs'
import test from 'ava'
import { openStore } from '../../agent/store/store.ts'
import { tidewatch } from '../support/daemon.ts'
import { sampleFinding } from '../support/samples.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

test('the table shows how often a finding was repeated, and why it ended', async (t) => {
  const directory = await temporaryDirectory()
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const store = openStore({ directory, onModeChange: () => undefined, onMovedAside: () => undefined })
  const save = (id: string, finding: Parameters<typeof sampleFinding>[0]) =>
    store.save(sampleFinding({ id, fingerprint: id, summary: `web-1 is ${id}`, ...finding }), null, [], 0)
  save('1', {})
  save('2', { count: 12 })
  const ended = { kind: 'condition', state: 'resolved', resolved_at: '2026-11-23T18:00:00.000Z' } as const
  save('3', { ...ended, count: 2, resolution: 'container\nremoved' })
  save('4', { ...ended, resolution: null })
  store.close()
  const lines = (await tidewatch('findings', `--state.directory=${directory}`)).split('\n')
  const summaries = lines.map((line) => /web-1 is .*?(?=\s*$)/.exec(line)?.[0] ?? '').filter(Boolean)
  t.deepEqual(summaries, [
    'web-1 is 1',
    'web-1 is 2 (12 times)',
    'web-1 is 3 (2 times) (resolved: container\\nremoved)',
    'web-1 is 4',
  ])
})
