import test from 'ava'
import { clientKey, apiRequestLog } from '../../../../agent/sources/docker/api-requests/api-request-log.ts'
import type { ApiRequest } from '../../../../agent/model/observation.ts'
import { sampleContainer, sampleExec } from '../../../support/samples.ts'
import { createLine, sampleClient, sampleRequest, startLine } from './caller-samples.ts'

const execId = 'e'.repeat(64)
const time = 2_000_000
const exec = sampleExec({ time })

test('two requests of one client for an exec count as one client, and two clients as two', (t) => {
  const { requests, described } = sample()
  requests.add(sampleRequest())
  requests.add(sampleRequest({ connection: 2n }))
  t.deepEqual(requests.startersOf(execId), [sampleClient(1)])
  t.deepEqual(described, [1])
  t.true(requests.hasStarted({ key: '1 100' }))
  t.false(requests.hasStarted({ key: '1 101' }))
  // The pid alone does not identify a process.
  requests.add(sampleRequest({ startTicks: 101 }))
  t.is(requests.startersOf(execId).length, 2)
  t.deepEqual(requests.startersOf('f'.repeat(64)), [])
})

test('a create without its start may be for an exec in that container only', (t) => {
  for (const named of [exec.container.name, exec.container.id.slice(0, 12)]) {
    const { requests } = sample()
    requests.add(sampleRequest({ text: createLine(named) }))
    t.true(requests.isUncertain(exec))
    const other = sampleContainer({ name: 'other', id: 'f'.repeat(64) })
    t.false(requests.isUncertain({ time, container: other }))
  }
})

test('a create belongs to the next start of its process, or of its connection', (t) => {
  for (const [start, isJoined] of [
    [{ pid: 1, connection: 2n }, true],
    [{ pid: 2, connection: 1n }, true],
    [{ pid: 2, connection: 2n }, false],
    [{ pid: 1, startTicks: 7, connection: 2n }, false],
  ] as const) {
    const { requests } = sample()
    requests.add(sampleRequest({ text: createLine('web-1') }))
    requests.add(sampleRequest(start))
    t.is(requests.isUncertain(exec), !isJoined)
  }
})

test('a piece of a request makes execs around that time uncertain', (t) => {
  for (const [at, isUncertain] of [
    [time - 5_000, false],
    [time - 100, true],
    [time + 50, true],
  ] as const) {
    const { requests } = sample()
    requests.add(sampleRequest({ time: at, text: `POST /exec/${execId.slice(1)}` }))
    t.is(requests.isUncertain(exec), isUncertain)
  }
})

test('requests are forgotten after a minute', (t) => {
  const { requests } = sample()
  requests.add(sampleRequest({ time }))
  requests.add(sampleRequest({ time, pid: 5, connection: 5n, text: createLine('web-1') }))
  requests.add(sampleRequest({ time: time + 59_000, pid: 9, text: 'POST /x HTTP/1.1\r\n' }))
  t.is(requests.startersOf(execId).length, 1)
  t.true(requests.isUncertain(exec))
  requests.add(sampleRequest({ time: time + 61_000, pid: 9, text: 'POST /x HTTP/1.1\r\n' }))
  t.is(requests.startersOf(execId).length, 0)
  t.false(requests.isUncertain(exec))
})

test('requests are bounded, and an evicted one makes execs uncertain', (t) => {
  for (const textOf of [
    (n: number) => startLine(String(n).padStart(64, '0')),
    (n: number) => createLine(`c${n}`),
  ]) {
    const { requests } = sample(10)
    for (let n = 0; n < 10; n++)
      requests.add(sampleRequest({ pid: n, connection: BigInt(n), text: textOf(n) }))
    t.false(requests.isUncertain(exec))
    requests.add(sampleRequest({ pid: 11, connection: 11n, text: textOf(11) }))
    t.true(requests.isUncertain(exec))
    t.deepEqual(requests.startersOf('0'.repeat(64)), [])
  }
})

function sample(maxRequests?: number) {
  const described: number[] = []
  const requests = apiRequestLog<ApiRequest>(
    {
      keyOf: clientKey,
      groupOf: clientKey,
      clientOf({ pid }) {
        described.push(pid)
        return sampleClient(pid)
      },
    },
    maxRequests,
  )
  return { requests, described }
}
