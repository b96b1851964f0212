import test from 'ava'
import { apiSocketsOf } from '../../../../agent/sources/docker/api-requests/api-sockets.ts'

test('an engine’s socket may be bound under either name of /run, and a TCP endpoint has no socket', (t) => {
  for (const [endpoint, sockets] of [
    ['unix:///var/run/docker.sock', ['/var/run/docker.sock', '/run/docker.sock']],
    ['unix:///run/user/1000/docker.sock', ['/run/user/1000/docker.sock', '/var/run/user/1000/docker.sock']],
    ['unix:///tmp/x.sock', ['/tmp/x.sock']],
    ['tcp://127.0.0.1:2375', []],
    ['https://docker:2376', []],
  ] as const)
    t.deepEqual(apiSocketsOf(endpoint), sockets)
})
