/** Identifies one process until the next boot; the pid alone does not, because pids are reused. */
export type ProcessKey = {
  readonly pid: number
  /** Clock ticks of 10 ms since boot, as in /proc/PID/stat. */
  readonly startTicks: number
}
