import type { IncomingMessage } from 'node:http'
import type Docker from 'dockerode'
import { errorCode } from '../../../lib/errors.ts'
import { objectOf, textOf } from '../../../lib/json-object.ts'

export type Target = { path: string; query?: Readonly<Record<string, string>> }

/** Limits of one call: the engine may hang, or be something else. */
export type RequestLimits = { timeoutMs: number; maxBodyBytes: number }

/** A response over the size limit; it was not read to its end. */
export class ResponseTooLarge extends Error {
  override name = 'ResponseTooLarge'

  constructor(maxBytes: number) {
    super(`the response exceeds ${maxBytes} bytes`)
  }
}

/**
 * Requests one JSON response; null if the resource is gone (404). Throws `ResponseTooLarge` over the size limit, and
 * an error if the response is incomplete or late.
 */
export async function getJson(docker: Docker, target: Target, limits: RequestLimits): Promise<unknown> {
  try {
    return await getJsonOnce(docker, target, limits)
  } catch (error) {
    // A keep-alive socket fails once after an engine restart; a second GET does no harm.
    if (!['ECONNRESET', 'EPIPE'].includes(errorCode(error))) throw error
    return await getJsonOnce(docker, target, limits)
  }
}

/** Opens a response that does not end; only its headers have a time limit. */
export async function getStream(
  docker: Docker,
  target: Target,
  signal: AbortSignal,
  limits: RequestLimits,
): Promise<IncomingMessage> {
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(), limits.timeoutMs)
  const either = AbortSignal.any([signal, timeout.signal])
  try {
    const response = await open(docker, target, either)
    either.addEventListener('abort', () => response.destroy(), { once: true })
    if (either.aborted) response.destroy()
    if (response.statusCode === 200) return response
    throw statusError(response, await bodyOf(response, limits.maxBodyBytes))
  } catch (error) {
    throw timeout.signal.aborted ? timeoutError(limits) : error
  } finally {
    clearTimeout(timer)
  }
}

async function getJsonOnce(docker: Docker, target: Target, limits: RequestLimits): Promise<unknown> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  try {
    const response = await open(docker, target, signal)
    const abort = () => response.destroy()
    signal.addEventListener('abort', abort)
    const body = await bodyOf(response, limits.maxBodyBytes)
    signal.removeEventListener('abort', abort)
    if (response.statusCode === 404) return null
    if (response.statusCode !== 200) throw statusError(response, body)
    return parse(body)
  } catch (error) {
    throw signal.aborted ? timeoutError(limits) : error
  }
}

// The library reads an error body without a limit, so every status counts as success.
const everyStatus = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [100 + index, true]))

function open(docker: Docker, { path, query = {} }: Target, signal: AbortSignal): Promise<IncomingMessage> {
  const request = {
    method: 'GET',
    path: `${path}?`,
    options: { ...query },
    isStream: true,
    statusCodes: everyStatus,
    abortSignal: signal,
  }
  return new Promise((resolve, reject) => {
    docker.modem.dial(request, (error, response) =>
      error === null ? resolve(response as IncomingMessage) : reject(error),
    )
  })
}

async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBytes) throw new ResponseTooLarge(maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new Error('the response is not complete JSON', { cause })
  }
}

function statusError(response: IncomingMessage, body: string): Error {
  let reason = body
  try {
    reason = textOf(objectOf(JSON.parse(body))['message']) || body
  } catch {
    // A proxy in front of the engine may respond with something else.
  }
  return new Error(`status ${response.statusCode}: ${reason.trim().slice(0, 300)}`)
}

function timeoutError({ timeoutMs }: RequestLimits): Error {
  return new Error(`no response within ${timeoutMs / 1000} s`)
}
