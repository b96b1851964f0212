import test from 'ava'
import { askedBy } from '../../../../agent/sources/docker/api-requests/request-line.ts'

const id = 'e'.repeat(64)
const start = { what: 'start', execId: id } as const
const unclear = { what: 'unclear' } as const

test('a write asks for what its request line says, as the engine understands it', (t) => {
  for (const [text, asked] of [
    [`POST /v1.41/exec/${id}/start HTTP/1.1\r\nHost: x\r\n`, start],
    [`POST /exec/${id}/start HTTP/1.1\r\n`, start],
    [`POST /exec/${id}/start?x=y HTTP/1.1\r\n`, start],
    [`POST http://docker/v1.41/exec/${id}/start HTTP/1.1\r\n`, start],
    [`POST /v1.41/%65xec/${id}/start HTTP/1.1\r\n`, start],
    ['POST /v1.41/containers/web-1/exec HTTP/1.1\r\n', { what: 'create', container: 'web-1' }],
    ['POST /containers/web-1/exec HTTP/1.1\r\n', { what: 'create', container: 'web-1' }],
    [`POST /v1.41/exec/${id}/resize?h=1 HTTP/1.1\r\n`, { what: 'other' }],
    [`POST /v1.41/exec/${id.slice(1)}/start HTTP/1.1\r\n`, { what: 'other' }],
    [`POST /images/create?fromImage=${'x'.repeat(300)}`, { what: 'other' }],
    [`POST /v1.41/containers/web-1/start HTTP/1.1\r\n`, { what: 'other' }],
  ] as const)
    t.deepEqual(askedBy(text), asked, text)
})

test('what was not read, or not whole, asks for nothing that can be known', (t) => {
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
    t.deepEqual(askedBy(text), unclear, text)
})
