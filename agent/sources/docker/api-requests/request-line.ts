/** The operation that a write to the engine's socket requests, as far as execs are concerned. */
export type RequestedOperation =
  | { kind: 'start'; execId: string }
  /** The container as the client named it. */
  | { kind: 'create'; container: string }
  | { kind: 'other' }
  /** Unreadable, or only a piece of a request line: it may be anything. */
  | { kind: 'unclear' }

/** Parses the beginning of a write that is, or may become, a POST request (RFC 9112, section 3). */
export function parseRequestLine(text: string): RequestedOperation {
  const target = /^POST ([^ ?\r\n]+)[ ?]/.exec(text)?.[1]
  const path = target === undefined ? undefined : pathOf(target)
  if (path === undefined) return { kind: 'unclear' }
  const execId = /^\/exec\/([0-9a-f]{64})\/start$/.exec(path)?.[1]
  if (execId !== undefined) return { kind: 'start', execId }
  const container = /^\/containers\/([^/]+)\/exec$/.exec(path)?.[1]
  return container === undefined ? { kind: 'other' } : { kind: 'create', container }
}

/** The path as the engine routes it: decoded, without the API version and without the host of an absolute form. */
function pathOf(target: string): string | undefined {
  try {
    return decodeURIComponent(target.replace(/^http:\/\/[^/]*/i, '')).replace(/^\/v[0-9.]+\//, '/')
  } catch {
    return undefined
  }
}
