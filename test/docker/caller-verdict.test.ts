import test from 'ava'
import { callerOf } from '../../agent/docker/caller-verdict.ts'
import { sampleClient } from './caller-samples.ts'

const a = sampleClient(1)
const b = sampleClient(2)
const nothing = { starters: [], hints: [], isShared: false, sawAll: false, healthcheck: false }

test('a client is named only where just one can have been it', (t) => {
  for (const [seen, confidence, client, process] of [
    [{ starters: [a] }, 'exact', 'seen', a.process],
    [{ starters: [a], hints: [b] }, 'exact', 'seen', a.process],
    [{ starters: [a, b] }, 'ambiguous', 'seen', null],
    [{ starters: [a, b], sawAll: true }, 'ambiguous', 'seen', null],
    [{ hints: [a] }, 'argv', 'seen', a.process],
    [{ hints: [a], isShared: true }, 'ambiguous', 'unclear', null],
    [{ hints: [a, b] }, 'ambiguous', 'unclear', null],
    [{ sawAll: true, healthcheck: true }, 'unknown', 'none', null],
    [{ sawAll: true }, 'unknown', 'unclear', null],
    [{ hints: [a], sawAll: true }, 'unknown', 'unclear', null],
    [{ healthcheck: true }, 'unknown', 'unclear', null],
    [{}, 'unknown', 'unclear', null],
  ] as const)
    t.deepEqual(callerOf({ ...nothing, ...seen }), {
      confidence,
      client,
      process,
      container: null,
      address: '',
    })
})
