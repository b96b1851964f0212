import test from 'ava'
import { commandRequestsExec } from '../../../../agent/sources/docker/api-requests/client-command.ts'
import { sampleContainer } from '../../../support/samples.ts'

const id = `0123456789ab${'c'.repeat(52)}`
const container = sampleContainer({ id, name: 'web-1', composeService: 'web' })
const task = sampleContainer({
  id,
  name: 'web.1',
  engineName: 'web.1.q7x',
})
const argv = ['sh', '-c', 'exit 3']

test('a command line requests an exec if it names the container and ends with the argv', (t) => {
  for (const command of [
    ['docker', 'exec', 'web-1', ...argv],
    ['/usr/bin/docker', '-H', 'unix:///x', 'exec', '-it', '--user', '0', 'web-1', ...argv],
    ['docker', 'container', 'exec', 'web-1', ...argv],
    ['docker', 'exec', '0123456789ab', ...argv],
    ['docker', 'compose', '-f', 'x.yml', 'exec', 'web', ...argv],
    ['/usr/libexec/docker/cli-plugins/docker-compose', 'compose', 'exec', 'web', ...argv],
    ['docker-compose', 'exec', '-T', 'web', ...argv],
  ])
    t.true(commandRequestsExec(command, { container, argv }), command.join(' '))
  t.true(commandRequestsExec(['docker', 'exec', 'web.1.q7x', ...argv], { container: task, argv }))
})

test('any other command line requests something else', (t) => {
  for (const command of [
    [],
    ['docker'],
    ['docker', 'exec', 'web-1'],
    ['docker', 'exec', ...argv],
    ['docker', 'exec', 'web-2', ...argv],
    ['docker', 'exec', 'web', ...argv],
    ['docker', 'exec', '', ...argv],
    ['docker', 'exec', 'web-1', ...argv, ''],
    ['docker', 'exec', 'web-1', 'sh', '-c', 'exit 4'],
    ['docker', 'run', 'web-1', ...argv],
    ['podman', 'exec', 'web-1', ...argv],
    ['sudo', 'docker', 'exec', 'web-1', ...argv],
    ['docker', 'exec', 'web.1.q7x', ...argv],
  ])
    t.false(commandRequestsExec(command, { container, argv }), command.join(' '))
  t.false(commandRequestsExec(['docker', 'exec', 'web-1'], { container, argv: [] }))
})

test('a label does not give a container another one’s name', (t) => {
  const labels = { 'com.docker.swarm.task.name': 'victim' }
  const forged = sampleContainer({ name: 'mine', labels })
  t.false(commandRequestsExec(['docker', 'exec', 'victim', ...argv], { container: forged, argv }))
})
