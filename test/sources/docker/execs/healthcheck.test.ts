import test from 'ava'
import { isHealthcheck } from '../../../../agent/sources/docker/execs/healthcheck.ts'
import { containerOfInspect } from '../../../../agent/sources/docker/inventory/identity.ts'

const container = containerOfInspect({
  Id: 'abc',
  Config: { User: 'app', Healthcheck: { Test: ['CMD', 'check', '--fast'] } },
})
const argv = ['check', '--fast']
const settings = { user: 'app', tty: false, openStdin: false, privileged: false, pid: 0 }

test('an exec identical to the health check is the health check', (t) => {
  t.true(isHealthcheck(container, argv, settings))
})

for (const [claim, check] of Object.entries({
  'with a terminal': () => isHealthcheck(container, argv, { ...settings, tty: true }),
  'with an open stdin': () => isHealthcheck(container, argv, { ...settings, openStdin: true }),
  'with privileges': () => isHealthcheck(container, argv, { ...settings, privileged: true }),
  'as another user': () => isHealthcheck(container, argv, { ...settings, user: 'root' }),
  'with an additional argument': () => isHealthcheck(container, [...argv, ''], settings),
  'with its arguments joined': () => isHealthcheck(container, ['check --fast'], settings),
  'without settings': () => isHealthcheck(container, argv, null),
  'in a container without a health check': () =>
    isHealthcheck(containerOfInspect({ Id: 'abc' }), argv, settings),
  'in a container that is gone': () => isHealthcheck({ ...container, details: null }, argv, settings),
})) {
  test(`an exec ${claim} is not a health check`, (t) => t.false(check()))
}
