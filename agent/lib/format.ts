const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** Formats a size in the largest unit that fits, with one decimal below ten (`477 MiB`, `1.5 GiB`). */
export function formatBytes(bytes: number): string {
  let power = 0
  while (power < byteUnits.length - 1 && Math.round(bytes / 1024 ** power) >= 1024) power++
  const value = bytes / 1024 ** power
  const digits = power === 0 || value >= 9.95 ? 0 : 1
  return `${value.toFixed(digits)} ${byteUnits[power] ?? ''}`
}

/** Formats a ratio as a percentage: 0.93 is `93 %`. */
export function formatPercent(share: number): string {
  return `${Math.round(share * 100)} %`
}
