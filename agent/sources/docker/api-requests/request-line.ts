/** What a write to the engine's socket asks for, as far as execs go. */
export type Asked =
  | { what: 'start'; execId: string }
  /** The container as the client named it. */
  | { what: 'create'; container: string }
  | { what: 'other' }
  /** Not read, or a piece of a line only: it may be anything. */
  | { what: 'unclear' }

/** Reads the beginning of a write that is, or may go on to be, a POST request (RFC 9112, section 3). */
export function askedBy(text: string): Asked {
  const target = /^POST ([^ ?\r\n]+)[ ?]/.exec(text)?.[1]
  const path = target === undefined ? undefined : pathOf(target)
  if (path === undefined) return { what: 'unclear' }
  const execId = /^\/exec\/([0-9a-f]{64})\/start$/.exec(path)?.[1]
  if (execId !== undefined) return { what: 'start', execId }
  const container = /^\/containers\/([^/]+)\/exec$/.exec(path)?.[1]
  return container === undefined ? { what: 'other' } : { what: 'create', container }
}

/** As the engine understands it: without the API version, decoded, and without the host of an absolute form. */
function pathOf(target: string): string | undefined {
  try {
    return decodeURIComponent(target.replace(/^http:\/\/[^/]*/i, '')).replace(/^\/v[0-9.]+\//, '/')
  } catch {
    return undefined
  }
}
