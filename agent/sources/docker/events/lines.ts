export type LineHandlers = {
  onLine: (line: string) => void
  /** A line over the limit: skipped to its end and not buffered. */
  onTooLong: () => void
}

/** Splits chunks of bytes into lines. A line may span many chunks, and a character two of them. */
export function createLineSplitter({ onLine, onTooLong }: LineHandlers, maxBytes = maxLineBytes) {
  let chunks: Buffer[] = []
  let size = 0

  function append(bytes: Buffer): void {
    size += bytes.length
    if (size > maxBytes) chunks = []
    else if (bytes.length > 0) chunks.push(bytes)
  }

  function finish(): void {
    if (size > maxBytes) onTooLong()
    else if (size > 0) onLine(Buffer.concat(chunks).toString())
    chunks = []
    size = 0
  }

  return (chunk: Buffer): void => {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(newline, start)
      if (end === -1) break
      append(chunk.subarray(start, end))
      finish()
      start = end + 1
    }
    append(chunk.subarray(start))
  }
}

// This byte is never part of a longer UTF-8 character, so lines can be split before they are decoded.
const newline = 0x0a

// An API client chooses how long the argv in an event is; lines of 200 KB were observed.
const maxLineBytes = 4 * 1024 * 1024
