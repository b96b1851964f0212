import test from 'ava'
import { type Endpoint, endpointName, endpointOf } from '../../../../agent/sources/docker/client/endpoint.ts'
import { exitConfiguration, UserError } from '../../../../agent/lib/errors.ts'

const files = { caFile: '/c/ca.pem', certFile: '/c/cert.pem', keyFile: '/c/key.pem' }
const unix = (path: string): Endpoint => ({ kind: 'unix', path })
const tcp = (host: string, port: number, tls = false): Endpoint => ({
  kind: 'tcp',
  host,
  port,
  tls: tls ? files : null,
})

test('without a host the default socket is used', (t) => {
  t.deepEqual(endpointOf({ env: {} }), unix('/var/run/docker.sock'))
  t.deepEqual(endpointOf({ env: { DOCKER_HOST: '' } }), unix('/var/run/docker.sock'))
})

test('a configured host takes precedence over DOCKER_HOST', (t) => {
  const env = { DOCKER_HOST: 'tcp://elsewhere:1' }
  t.deepEqual(endpointOf({ env }), tcp('elsewhere', 1))
  t.deepEqual(endpointOf({ host: 'unix:///a.sock', env }), unix('/a.sock'))
})

for (const [host, endpoint] of [
  ['tcp://h:2222', tcp('h', 2222)],
  ['tcp://h', tcp('h', 2375)],
  ['tcp://h:2375/', tcp('h', 2375)],
  ['http://10.0.0.1:80', tcp('10.0.0.1', 80)],
  ['tcp://[::1]:2375', tcp('::1', 2375)],
] as const) {
  test(`${host} is accepted`, (t) => t.deepEqual(endpointOf({ host, env: {} }), endpoint))
}

test('TLS comes from the configuration, or from the docker CLI’s variables', (t) => {
  t.deepEqual(endpointOf({ host: 'tcp://h', tls: files, env: {} }), tcp('h', 2376, true))
  const env = { DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/c' }
  t.deepEqual(endpointOf({ host: 'tcp://h:1', env }), tcp('h', 1, true))
  t.deepEqual(endpointOf({ host: 'unix:///a.sock', env }), unix('/a.sock'))
})

const refused = [
  '',
  '/var/run/docker.sock',
  'fd://',
  'unix://',
  'unix://relative',
  'ssh://root@h',
  'npipe:////./pipe/docker',
  'tcp://',
  'tcp://h:99999',
  'tcp://h/prefix',
  'tcp://user@h',
  'h:2375',
  'TCP://h',
]
for (const host of refused) {
  test(`the host ${JSON.stringify(host)} is refused with a list of accepted forms`, (t) => {
    const error = t.throws(() => endpointOf({ host, env: {} }), { instanceOf: UserError })
    t.is(error.exitCode, exitConfiguration)
    t.regex(error.message, /unix:\/\/\/path\/to\/docker\.sock, tcp:\/\/host:port/)
  })
}

test('https without TLS files is refused, and so is TLS for a local socket', (t) => {
  t.throws(() => endpointOf({ host: 'https://h', env: {} }), { message: /needs docker\.tls/ })
  t.throws(() => endpointOf({ host: 'unix:///a', tls: files, env: {} }), { message: /without TLS/ })
})

test('an endpoint is named as a user would write it', (t) => {
  t.is(endpointName(unix('/a.sock')), 'unix:///a.sock')
  t.is(endpointName(tcp('::1', 2375)), 'tcp://[::1]:2375')
  t.is(endpointName(tcp('h', 2376, true)), 'https://h:2376')
})
