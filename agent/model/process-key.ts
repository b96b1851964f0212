/** Names one process until the next boot: pids are used again. */
export type ProcessKey = {
  readonly pid: number
  /** Clock ticks of 10 ms since boot, as in /proc/PID/stat. */
  readonly startTicks: number
}
