import type { DockerEvent } from '../../../model/observation.ts'
import { boundedText, boundedTexts } from '../client/bounded.ts'
import { isObject, type JsonObject, objectOf, textOf } from '../../../lib/json-object.ts'

/** Parses one line of the event stream; null if it is not an event. */
export function parseEvent(line: string): DockerEvent | null {
  const event = parse(line)
  if (event === null) return null
  const type = textOf(event['Type'])
  const fullAction = textOf(event['Action'])
  const timeNano = event['timeNano']
  if (type === '' || fullAction === '' || typeof timeNano !== 'bigint') return null
  const { action, detail } = splitAction(fullAction)
  const actor = objectOf(event['Actor'])
  return {
    kind: 'docker-event',
    time: Number(timeNano) / 1e6,
    timeNano,
    type,
    action: dockerActions.get(action) ?? action,
    detail: boundedText(detail),
    actorId: textOf(actor['ID']),
    attributes: boundedTexts(actor['Attributes']),
  }
}

// Podman's names for the same actions in the same API.
const dockerActions: ReadonlyMap<string, string> = new Map([
  ['remove', 'destroy'],
  ['exec', 'exec_start'],
  ['exec_died', 'exec_die'],
])

/**
 * `exec_create: sh -c ` is a verb and an argv. Only the first colon is the engine's; blanks may belong to the argv.
 */
function splitAction(text: string): { action: string; detail: string } {
  const colon = text.indexOf(':')
  if (colon === -1) return { action: text, detail: '' }
  return { action: text.slice(0, colon), detail: text.slice(colon + 1).replace(/^ /, '') }
}

function parse(line: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(line, keepNanoseconds as Reviver)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

/** Nanoseconds exceed 2^53, so the digits come from the source text of exactly this number. */
function keepNanoseconds(key: string, value: unknown, { source }: { source?: string }): unknown {
  if (key !== 'timeNano' || typeof value !== 'number') return value
  return source !== undefined && /^\d{1,19}$/.test(source) ? BigInt(source) : null
}

// The third parameter exists at run time (JSON.parse source text access), but not yet in the types.
type Reviver = (key: string, value: unknown) => unknown
