import Table from 'cli-table3'

const noBorders = Object.fromEntries(
  // oxfmt-ignore
  ['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right',
   'left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle'].map((edge) => [edge, '']),
)

/** Columns without borders, like the output of kubectl and docker. Cells must already be printable. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  widths?: readonly number[],
): string {
  const table = new Table({
    head: [...head],
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    ...(widths === undefined ? {} : { colWidths: [...widths], wordWrap: true }),
  })
  table.push(...rows.map((row) => [...row]))
  const lines = table.toString().split('\n')
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}
