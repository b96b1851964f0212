/** A span of a setting, such as `5 min` or `90 s`. */
export function formatSpan(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`
}

/** How long a condition's reason to end has lasted, as part of a summary; empty if it ends at once. */
export function forSpan(ms: number): string {
  return ms === 0 ? '' : ` for ${formatSpan(ms)}`
}
