import test from 'ava'
import { containerFailure } from './preflight.ts'

test('an engine that starts a container is no failure', (t) => {
  t.is(containerFailure({ status: 0, stderr: 'WARNING: No swap limit support' }), undefined)
})

test('a missing bridge is reported in one sentence with the remedy', (t) => {
  const stderr = [
    'docker: Error response from daemon: failed to create endpoint quirky_bose on network bridge: adding interface veth1 to bridge docker0 failed: could not find bridge docker0: route ip+net: no such network interface.',
    'ERRO[0000] error waiting for container: context canceled ',
    '',
  ].join('\n')
  const failure = containerFailure({ status: 125, stderr }) ?? ''
  t.regex(failure, /^the Docker Engine cannot start a container on its default network; restart it/)
  t.regex(failure, /could not find bridge docker0/)
  t.notRegex(failure, /\n|error waiting/)
})
