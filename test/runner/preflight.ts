/** How a program exited. */
export type Ended = { status: number | null; stderr: string }

/**
 * Why the engine cannot run a container on its default network, as one sentence with the remedy; undefined if it can.
 * A second engine may have deleted the bridge docker0, and most end-to-end tests would then fail.
 */
export function containerFailure({ status, stderr }: Ended): string | undefined {
  if (status === 0) return undefined
  // The last line may only refer to docker's help.
  const reason = stderr.split('\n').find((line) => line.includes('rror')) ?? stderr.trim()
  return `the Docker Engine cannot start a container on its default network; restart it, which creates docker0 again (${reason.trim()})`
}
