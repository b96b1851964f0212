import test from 'ava'
import { parseRequestLine } from '../../../../agent/sources/docker/api-requests/request-line.ts'

const id = 'e'.repeat(64)
const start = { kind: 'start', execId: id } as const
const unclear = { kind: 'unclear' } as const

test('a request line is parsed like the engine routes it', (t) => {
  for (const [text, operation] of [
    [`POST /v1.41/exec/${id}/start HTTP/1.1\r\nHost: x\r\n`, start],
    [`POST /exec/${id}/start HTTP/1.1\r\n`, start],
    [`POST /exec/${id}/start?x=y HTTP/1.1\r\n`, start],
    [`POST http://docker/v1.41/exec/${id}/start HTTP/1.1\r\n`, start],
    [`POST /v1.41/%65xec/${id}/start HTTP/1.1\r\n`, start],
    ['POST /v1.41/containers/web-1/exec HTTP/1.1\r\n', { kind: 'create', container: 'web-1' }],
    ['POST /containers/web-1/exec HTTP/1.1\r\n', { kind: 'create', container: 'web-1' }],
    [`POST /v1.41/exec/${id}/resize?h=1 HTTP/1.1\r\n`, { kind: 'other' }],
    [`POST /v1.41/exec/${id.slice(1)}/start HTTP/1.1\r\n`, { kind: 'other' }],
    [`POST /images/create?fromImage=${'x'.repeat(300)}`, { kind: 'other' }],
    [`POST /v1.41/containers/web-1/start HTTP/1.1\r\n`, { kind: 'other' }],
  ] as const)
    t.deepEqual(parseRequestLine(text), operation, text)
})

test('an unreadable or incomplete request line is unclear', (t) => {
  for (const text of [
    '',
    'P',
    'POST',
    'POST ',
    `POST /exec/${id}/start`,
    `POST /exec/${id.slice(1)}`,
    `POST /exec/${id}/start\r\n`,
    `x POST /exec/${id}/start HTTP/1.1\r\n`,
    `POST /%zz/${id} HTTP/1.1\r\n`,
  ])
    t.deepEqual(parseRequestLine(text), unclear, text)
})
