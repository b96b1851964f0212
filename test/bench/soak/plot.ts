const blocks = ' ▁▂▃▄▅▆▇█'

/** A curve as lines of text, the highest first, each labelled with its upper value; the lowest line starts at 0. */
export function plot(values: readonly number[], { width = 72, height = 5 } = {}): string {
  const columns = Array.from({ length: Math.min(width, values.length) }, (_, column) => {
    const step = values.length / Math.min(width, values.length)
    return Math.max(...values.slice(Math.floor(column * step), Math.max(1, Math.floor((column + 1) * step))))
  })
  const top = Math.max(...columns, Number.MIN_VALUE)
  const lines = Array.from({ length: height }, (_, line) => {
    const below = height - 1 - line
    const cells = columns.map((value) => {
      const eighths = Math.round((value / top) * height * 8) - below * 8
      return blocks[Math.min(8, Math.max(0, eighths))]
    })
    return `${((top * (below + 1)) / height).toFixed(0).padStart(8)} ┤${cells.join('')}`
  })
  return lines.join('\n')
}
