import type { IncomingMessage } from 'node:http'
import type Docker from 'dockerode'
import { errorCode } from '../../../lib/errors.ts'
import { objectOf, textOf } from '../../../lib/json-object.ts'

export type Target = { path: string; query?: Readonly<Record<string, string>> }

/** How much one plain call may take: the engine may be stuck, or not an engine at all. */
export type RequestLimits = { timeoutMs: number; maxBodyBytes: number }

/** An answer that is longer than the limit; it was not read to its end. */
export class AnswerTooLong extends Error {
  override name = 'AnswerTooLong'

  constructor(maxBytes: number) {
    super(`the answer is longer than ${maxBytes} bytes`)
  }
}

/**
 * Asks for one JSON answer, whole and in time; null when what was asked for is gone (404). Throws `AnswerTooLong`
 * beyond the limit.
 */
export async function getJson(docker: Docker, target: Target, limits: RequestLimits): Promise<unknown> {
  try {
    return await getJsonOnce(docker, target, limits)
  } catch (error) {
    // A kept-alive socket fails once after an engine restart; asking again cannot do harm.
    if (!['ECONNRESET', 'EPIPE'].includes(errorCode(error))) throw error
    return await getJsonOnce(docker, target, limits)
  }
}

/** Opens an answer that does not end; only its head must come in time. */
export async function getStream(
  docker: Docker,
  target: Target,
  signal: AbortSignal,
  limits: RequestLimits,
): Promise<IncomingMessage> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), limits.timeoutMs)
  const either = AbortSignal.any([signal, late.signal])
  try {
    const response = await open(docker, target, either)
    either.addEventListener('abort', () => response.destroy(), { once: true })
    if (either.aborted) response.destroy()
    if (response.statusCode === 200) return response
    throw refusalOf(response, await bodyOf(response, limits.maxBodyBytes))
  } catch (error) {
    throw late.signal.aborted ? tooLate(limits) : error
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
    if (response.statusCode !== 200) throw refusalOf(response, body)
    return parse(body)
  } catch (error) {
    throw signal.aborted ? tooLate(limits) : error
  }
}

// The library reads the body of an error without limit, so it is told that every status is fine.
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
    if (size > maxBytes) throw new AnswerTooLong(maxBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new Error('the answer is not whole JSON', { cause })
  }
}

function refusalOf(response: IncomingMessage, body: string): Error {
  let reason = body
  try {
    reason = textOf(objectOf(JSON.parse(body))['message']) || body
  } catch {
    // A proxy in front of the engine answers in its own words.
  }
  return new Error(`the answer is status ${response.statusCode}: ${reason.trim().slice(0, 300)}`)
}

function tooLate({ timeoutMs }: RequestLimits): Error {
  return new Error(`no answer within ${timeoutMs / 1000} s`)
}
