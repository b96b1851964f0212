import { Command, Option } from 'commander'
import { detectors } from '../../detectors/index.ts'
import type { Rule } from '../model/finding.ts'
import { renderTable } from './table.ts'

/** `tidewatch rules`: every rule, its meaning and its remedy. */
export function rulesCommand(): Command {
  return new Command('rules')
    .description('list every rule, its meaning and what to do')
    .addOption(new Option('--format <format>', 'output format').choices(['table', 'json']).default('table'))
    .action(({ format }: { format: string }) => {
      const rules = allRules()
      process.stdout.write(format === 'json' ? jsonLines(rules) : table(rules))
    })
}

type RuleRow = Omit<Rule, 'enabledByDefault' | 'supersededBy'> & { detector: string; rule: string }

/** The rules of all detectors as one flat table. */
export function allRules(): RuleRow[] {
  return detectors.flatMap(({ name, rules }) =>
    Object.entries(rules).map(([rule, { severity, kind, technique, summary, remedy }]) => ({
      detector: name,
      rule,
      severity,
      kind,
      ...(technique !== undefined && { technique }),
      summary,
      remedy,
    })),
  )
}

function jsonLines(rules: readonly RuleRow[]): string {
  return rules.map((rule) => `${JSON.stringify(rule)}\n`).join('')
}

function table(rules: readonly RuleRow[]): string {
  const width = process.stdout.columns ?? 120
  const text = Math.max(24, Math.floor((width - 73) / 2))
  return renderTable(
    ['RULE', 'DETECTOR', 'SEVERITY', 'TECHNIQUE', 'MEANS', 'DO'],
    rules.map(({ rule, detector, severity, technique = '', summary, remedy }) => [
      rule,
      detector,
      severity,
      technique,
      summary,
      remedy,
    ]),
    [27, 25, 10, 11, text, text],
  )
}
