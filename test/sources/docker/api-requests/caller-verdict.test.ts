import test from 'ava'
import { callerOf } from '../../../../agent/sources/docker/api-requests/caller-verdict.ts'
import { sampleClient, sampleRemote } from './caller-samples.ts'

const a = sampleClient(1)
const b = sampleClient(2)
const near = sampleRemote('10.0.0.5:41000')
const far = sampleRemote('10.0.0.9')
const nothing = {
  starters: [],
  cliMatches: [],
  isShared: false,
  sawAll: false,
  active: [],
  healthcheck: false,
}

test('a client is named only if no other can have made the request', (t) => {
  for (const [seen, confidence, client, process] of [
    [{ starters: [a] }, 'exact', 'seen', a.process],
    [{ starters: [a], cliMatches: [b] }, 'exact', 'seen', a.process],
    [{ starters: [a, b] }, 'ambiguous', 'seen', null],
    [{ starters: [a, b], sawAll: true }, 'ambiguous', 'seen', null],
    [{ cliMatches: [a] }, 'argv', 'seen', a.process],
    [{ cliMatches: [a], isShared: true }, 'ambiguous', 'unclear', null],
    [{ cliMatches: [a, b] }, 'ambiguous', 'unclear', null],
    [{ sawAll: true, healthcheck: true }, 'unknown', 'none', null],
    [{ sawAll: true }, 'unknown', 'unclear', null],
    [{ cliMatches: [a], sawAll: true }, 'unknown', 'unclear', null],
    [{ healthcheck: true }, 'unknown', 'unclear', null],
    [{}, 'unknown', 'unclear', null],
  ] as const)
    t.like(callerOf({ ...nothing, ...seen }), {
      confidence,
      client,
      process,
      container: null,
      address: '',
    })
})

test('a TCP client is named with its address, by its request or as the only active client', (t) => {
  for (const [seen, confidence, client, address, by] of [
    [{ starters: [near] }, 'remote', 'seen', near.address, 'request'],
    [{ starters: [near], active: [far] }, 'remote', 'seen', near.address, 'request'],
    [{ starters: [{ ...near, process: a.process }] }, 'exact', 'seen', near.address, undefined],
    [{ sawAll: true, active: [far] }, 'remote', 'seen', far.address, 'activity'],
    [{ active: [far] }, 'unknown', 'unclear', '', undefined],
    [{ sawAll: true, active: [far], healthcheck: true }, 'unknown', 'unclear', '', undefined],
    [{ sawAll: true, active: [near, far] }, 'ambiguous', 'unclear', '', undefined],
    [{ starters: [near, a] }, 'ambiguous', 'seen', '', undefined],
  ] as const) {
    const caller = callerOf({ ...nothing, ...seen })
    t.like(caller, { confidence, client, address })
    t.is(caller.by, by)
  }
})

test('the candidates are listed, up to a limit', (t) => {
  t.deepEqual(callerOf({ ...nothing, starters: [near, a] }).candidates, [near.address, 'pid 1'])
  t.deepEqual(callerOf({ ...nothing, cliMatches: [a, b] }).candidates, ['pid 1', 'pid 2'])
  const many = Array.from({ length: 100 }, (_, n) => sampleRemote(`10.0.0.${n}`))
  t.is(callerOf({ ...nothing, sawAll: true, active: many }).candidates?.length, 8)
})
