// The Date header could be from any moment of the exchange. A longer one says too little about the clock.
const maxRoundTripMs = 10_000

/**
 * How far the clock that wrote a Date header is ahead of ours, in milliseconds; null if the header is missing or
 * malformed, or if the exchange took too long. `answeredAt` is when the response arrived, in epoch milliseconds.
 */
export function clockSkew(date: string | undefined, answeredAt: number, roundTripMs: number): number | null {
  if (date === undefined || !httpDate.test(date) || roundTripMs > maxRoundTripMs) return null
  const seconds = Date.parse(date)
  // The header is rounded down to a second.
  return Number.isNaN(seconds) ? null : Math.round(seconds + 500 - (answeredAt - roundTripMs / 2))
}

// The only format that RFC 9110 (5.6.7) allows senders. Date.parse() reads almost any text as some date.
const httpDate = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/
