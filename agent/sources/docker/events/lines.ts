export type LineHandlers = {
  onLine: (line: string) => void
  /** A line beyond the limit: skipped to its end, its bytes not kept. */
  onTooLong: () => void
}

/** Cuts chunks of bytes into lines; a line may span many chunks, and a character two of them. */
export function createLineSplitter({ onLine, onTooLong }: LineHandlers, maxBytes = maxLineBytes) {
  let parts: Buffer[] = []
  let size = 0

  function keep(part: Buffer): void {
    size += part.length
    if (size > maxBytes) parts = []
    else if (part.length > 0) parts.push(part)
  }

  function finish(): void {
    if (size > maxBytes) onTooLong()
    else if (size > 0) onLine(Buffer.concat(parts).toString())
    parts = []
    size = 0
  }

  return (chunk: Buffer): void => {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(newline, start)
      if (end === -1) break
      keep(chunk.subarray(start, end))
      finish()
      start = end + 1
    }
    keep(chunk.subarray(start))
  }
}

// A byte that is never part of a longer UTF-8 character, so that lines can be cut before they are decoded.
const newline = 0x0a

// A caller of the API chooses how long the argv in an event is; lines of 200 KB were seen.
const maxLineBytes = 4 * 1024 * 1024
