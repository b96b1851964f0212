import type { Client } from '../../../../agent/sources/docker/api-requests/api-request-log.ts'
import type { ApiRequest, CallerProcess } from '../../../../agent/model/observation.ts'

export function sampleCaller(pid: number): CallerProcess {
  return { pid, uid: 0, user: 'root', loginUser: '', exe: '/usr/bin/docker', argv: ['docker'], ancestors: [] }
}

export function sampleClient(pid: number): Client {
  return { key: `${pid} 100`, process: sampleCaller(pid), container: null, address: '' }
}

/** A request by process 1 to start the exec whose id is 64 times `e`. */
export function sampleRequest(request: Partial<ApiRequest> = {}): ApiRequest {
  return {
    kind: 'api-request',
    time: 2_000_000,
    pid: 1,
    startTicks: 100,
    uid: 0,
    euid: 0,
    connection: 1n,
    text: startLine('e'.repeat(64)),
    container: null,
    ...request,
  }
}

export function startLine(execId: string): string {
  return `POST /v1.41/exec/${execId}/start HTTP/1.1\r\n`
}

export function createLine(container: string): string {
  return `POST /v1.41/containers/${container}/exec HTTP/1.1\r\n`
}

/** A TCP client without a known process. */
export function sampleRemote(address: string): Client {
  return { key: address, process: null, container: null, address }
}
