import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'

export type EngineApi = (method: string, path: string, body?: object) => Promise<string>

/** Sends requests to an engine without the docker command, which takes longer to start than most requests. */
export function engineApiOf(socketPath: string): EngineApi {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  return async (method, path, body) => {
    const asking = request({
      ...{ agent, socketPath, method, path },
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
    })
    asking.end(body === undefined ? undefined : JSON.stringify(body))
    const [response] = (await once(asking, 'response')) as [IncomingMessage]
    const answer = await text(response)
    if ((response.statusCode ?? 0) >= 400) throw new Error(`${method} ${path}: ${answer}`)
    return answer
  }
}

/** The host's engine. */
export const engineApi = engineApiOf('/var/run/docker.sock')

/** Runs a command in a container and waits until it exits. */
export async function execByApi(
  container: string,
  argv: readonly string[],
  settings: object = {},
): Promise<void> {
  const created = await engineApi('POST', `/containers/${container}/exec`, {
    Cmd: argv,
    AttachStdout: true,
    ...settings,
  })
  await engineApi('POST', `/exec/${(JSON.parse(created) as { Id: string }).Id}/start`, {})
}
