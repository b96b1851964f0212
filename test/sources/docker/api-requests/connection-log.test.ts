import test from 'ava'
import { connectionLog } from '../../../../agent/sources/docker/api-requests/connection-log.ts'
import type { Transfer } from '../../../../agent/sources/docker/api-requests/tcp-probes/record.ts'
import { sampleExec } from '../../../support/samples.ts'
import { createLine, sampleCaller, startLine } from './caller-samples.ts'

const execId = 'e'.repeat(64)
const time = 2_000_000
const ourselves = 99
const encrypted = '\u0017\u0003\u0003'

test('a request identifies the exec, and its connection the client', (t) => {
  const seen = sample()
  seen.add(received('10.0.0.5:41000', startLine(execId)))
  const remote = { key: '10.0.0.5:41000', process: null, container: null, address: '10.0.0.5:41000' }
  t.deepEqual(seen.startersOf(execId), [remote])
  t.deepEqual(seen.startersOf('f'.repeat(64)), [])
  seen.add(received('10.0.0.5:41001', startLine(execId)))
  t.is(seen.startersOf(execId).length, 2)
})

test('a client on this host is identified by its process, reported before or after', (t) => {
  for (const order of [1, -1]) {
    const seen = sample()
    const transfers = [received('127.0.0.1:41000', startLine(execId)), sent('127.0.0.1:41000', 7)]
    for (const transfer of order === 1 ? transfers : transfers.toReversed()) seen.add(transfer)
    t.deepEqual(seen.startersOf(execId), [
      { key: '7 100', process: sampleCaller(7), container: null, address: '127.0.0.1:41000' },
    ])
  }
})

test('a process with two connections is one client', (t) => {
  const seen = sample()
  for (const peer of ['127.0.0.1:41000', '127.0.0.1:41001']) {
    seen.add(sent(peer, 7))
    seen.add(received(peer, startLine(execId)))
  }
  t.is(seen.startersOf(execId).length, 1)
  t.is(seen.startersOf(execId)[0]?.address, '127.0.0.1')
})

test('a first byte that was read separately belongs to the next read of the same connection', (t) => {
  const [first, rest] = ['P', startLine(execId).slice(1)] as const
  for (const [pieces, starters] of [
    [[received('10.0.0.5:1', first), received('10.0.0.5:1', rest)], 1],
    [[received('10.0.0.5:1', first), received('10.0.0.6:1', rest)], 0],
    [[received('10.0.0.5:1', rest)], 0],
  ] as const) {
    const seen = sample()
    for (const piece of pieces) seen.add(piece)
    t.is(seen.startersOf(execId).length, starters)
  }
})

test('unreadable data makes an exec uncertain, and so does a create without its start', (t) => {
  const exec = sampleExec({ time })
  for (const [texts, isUncertain] of [
    [[''], true],
    [['POST /exec/'], true],
    [['P'], true],
    [[createLine('web-1')], true],
    [[createLine('web-1'), startLine(execId)], false],
    [[encrypted], false],
  ] as const) {
    const seen = sample()
    // Each on a separate connection, like the docker CLI.
    for (const [index, text] of texts.entries()) seen.add(received(`10.0.0.5:${index}`, text))
    t.is(seen.isUncertain(exec), isUncertain, JSON.stringify(texts))
  }
})

test('encrypted connections count if they had traffic shortly before', (t) => {
  for (const [at, isActive] of [
    [time - 2_500, false],
    [time - 1_500, true],
    [time, true],
    [time + 100, false],
  ] as const) {
    const seen = sample()
    seen.add(received('10.0.0.5:41000', encrypted, at))
    t.deepEqual(
      seen.activeBefore(time).map(({ address }) => address),
      isActive ? ['10.0.0.5:41000'] : [],
    )
  }
})

test('connections of another host count as one client, those of local processes as one client each', (t) => {
  const seen = sample()
  for (const peer of ['10.0.0.5:1', '10.0.0.5:2', '127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'])
    seen.add(received(peer, encrypted))
  for (const [peer, pid] of [
    ['127.0.0.1:1', 7],
    ['127.0.0.1:2', 7],
    ['127.0.0.1:3', 8],
  ] as const)
    seen.add(sent(peer, pid))
  const clients = seen.activeBefore(time).map(({ address, process }) => [address, process?.pid])
  t.deepEqual(clients, [
    ['10.0.0.5', undefined],
    ['127.0.0.1', 7],
    ['127.0.0.1:3', 8],
  ])
})

test('a connection counts as encrypted from its handshake on, however its records are read', (t) => {
  const seen = sample()
  seen.add(received('10.0.0.5:1', '\u0016\u0003\u0001', time - 60_000))
  for (const text of ['POSTulat', '', '\u00ff\u0000']) seen.add(received('10.0.0.5:1', text))
  t.is(seen.activeBefore(time).length, 1)
  t.false(seen.isUncertain(sampleExec({ time })))
  // On a readable connection, data that is not a request is ignored.
  seen.add(received('10.0.0.6:1', 'GET /_ping HTTP/1.1'))
  seen.add(received('10.0.0.6:1', '\u00ff\u0000'))
  t.is(seen.activeBefore(time).length, 1)
  t.false(seen.isUncertain(sampleExec({ time })))
})

test('our own connection is ignored', (t) => {
  const seen = sample()
  seen.add(sent('127.0.0.1:1', ourselves))
  seen.add(received('127.0.0.1:1', encrypted))
  t.deepEqual(seen.activeBefore(time), [])
})

test('a reused port belongs to its latest process', (t) => {
  const seen = sample()
  seen.add(sent('127.0.0.1:1', 7))
  seen.add(sent('127.0.0.1:1', 8))
  seen.add(received('127.0.0.1:1', startLine(execId)))
  t.is(seen.startersOf(execId)[0]?.process?.pid, 8)
})

test('connections are bounded', (t) => {
  const seen = connectionLog(() => ({ process: sampleCaller(1), container: null }), 10)
  for (let n = 0; n < 30; n++) {
    seen.add(sent(`127.0.0.1:${n}`, n))
    seen.add(received(`127.0.0.1:${n}`, encrypted))
  }
  t.is(seen.activeBefore(time).length, 10)
  t.true(seen.isUncertain(sampleExec({ time })))
})

function sample() {
  return connectionLog(({ pid }) =>
    pid === ourselves ? null : { process: sampleCaller(pid), container: null },
  )
}

const transfer: Transfer = {
  way: 'received',
  pid: 1,
  startTicks: 100,
  uid: 0,
  euid: 0,
  time,
  connection: 1n,
  local: '127.0.0.1:2375',
  peer: '',
  text: '',
}

function received(peer: string, text: string, at = time): Transfer {
  return { ...transfer, peer, text, time: at, connection: BigInt(peer.replaceAll(/\D/g, '')) }
}

function sent(local: string, pid: number): Transfer {
  return { ...transfer, way: 'sent', local, peer: '127.0.0.1:2375', pid }
}
