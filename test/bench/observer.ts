/** What an observer has seen of the load; latencies in milliseconds. */
export type Tally = { right: number; seen: number; lost: number; latencies: number[] }

/** Prints the tally as one line of JSON for each request on standard input. */
export function answerReports(tally: Tally): void {
  process.stdin.on('data', () => process.stdout.write(`${JSON.stringify(tally)}\n`))
}
