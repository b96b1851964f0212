import test from 'ava'
import { parseEvent } from '../../../../agent/sources/docker/events/event.ts'

function line(overrides: Record<string, unknown> = {}): string {
  const event = {
    Type: 'container',
    Action: 'start',
    Actor: { ID: 'abc', Attributes: { name: 'web', image: 'nginx' } },
    time: 1_795_498_966,
    timeNano: 0,
    ...overrides,
  }
  return JSON.stringify(event).replace('"timeNano":0', '"timeNano":1795498966113403523')
}

test('an event is parsed with its exact time', (t) => {
  t.deepEqual(parseEvent(line()), {
    kind: 'docker-event',
    time: 1_795_498_966_113.4036,
    timeNano: 1_795_498_966_113_403_523n,
    type: 'container',
    action: 'start',
    detail: '',
    actorId: 'abc',
    attributes: { name: 'web', image: 'nginx' },
  })
})

test('a label that contains a time does not change the event’s time', (t) => {
  const Attributes = { name: '"timeNano":1', timeNano: '2', x: '}],"timeNano":3}' }
  const event = parseEvent(line({ Actor: { ID: 'abc', Attributes, timeNano: 4 }, zNested: { timeNano: 5 } }))
  t.is(event?.timeNano, 1_795_498_966_113_403_523n)
  t.deepEqual(event?.attributes, Attributes)
})

for (const [action, verb, detail] of [
  ['exec_create: sh -c echo a: b', 'exec_create', 'sh -c echo a: b'],
  ['exec_create: id ', 'exec_create', 'id '],
  ['exec_start:  leading', 'exec_start', ' leading'],
  ['exec_start: echo a\nb', 'exec_start', 'echo a\nb'],
  ['health_status: healthy', 'health_status', 'healthy'],
  ['die', 'die', ''],
  ['remove', 'destroy', ''],
  ['exec_died', 'exec_die', ''],
] as const) {
  test(`the action ${JSON.stringify(action)} is split at its first colon`, (t) => {
    const event = parseEvent(line({ Action: action }))
    t.deepEqual([event?.action, event?.detail], [verb, detail])
  })
}

test('attributes that are not strings are omitted, and one named __proto__ is only an attribute', (t) => {
  const event = parseEvent(line().replace('"name":"web"', '"name":7,"a":null,"b":["c"],"__proto__":"x"'))
  t.deepEqual(Object.entries(event?.attributes ?? {}), [
    ['__proto__', 'x'],
    ['image', 'nginx'],
  ])
})

test('an event without an actor is valid', (t) => {
  const event = parseEvent(line({ Type: 'image', Action: 'prune', Actor: null }))
  t.deepEqual([event?.type, event?.actorId, event?.attributes], ['image', '', {}])
})

for (const [claim, text] of [
  ['half an event', line().slice(0, -5)],
  ['an array', '[]'],
  ['null', 'null'],
  ['text that is not JSON', '<html>'],
  ['an event without a type', line({ Type: undefined })],
  ['an event with a number for an action', line({ Action: 7 })],
  ['an event with its time as text', line({ timeNano: '1' })],
  ['an event with a broken time', line().replace('1795498966113403523', '1.5e300')],
  ['an event with a negative time', line().replace('1795498966113403523', '-1')],
  ['a status of another API', '{"status":"start","id":"abc"}'],
] as const) {
  test(`${claim} is not an event`, (t) => t.is(parseEvent(text), null))
}

test('an argv with newlines is preserved, and one of 100 KB is truncated', (t) => {
  const argv = 'sh -c '.padEnd(4_000, 'echo x\n')
  t.is(parseEvent(line({ Action: `exec_create: ${argv}` }))?.detail, argv)
  const detail = parseEvent(line({ Action: `exec_create: ${argv.repeat(25)}` }))?.detail ?? ''
  t.true(detail.startsWith(argv))
  t.regex(detail.slice(argv.length), /^.*…\[100000 characters, sha256 [0-9a-f]{16}\]$/s)
})
