import { stringify } from 'yaml'

/** An alerting rule as Prometheus reads it. */
export type AlertingRule = {
  alert: string
  expr: string
  for?: string
  labels: Readonly<Record<string, string>>
  annotations: Readonly<Record<string, string>>
}

/** A recording rule as Prometheus reads it. */
export type RecordingRule = { record: string; expr: string; labels?: Readonly<Record<string, string>> }

/** Rules that are evaluated together, one after the other. */
export type RuleGroup = { name: string; rules: readonly (AlertingRule | RecordingRule)[] }

/** A file for `rule_files` of Prometheus. */
export type RuleFile = { name: string; about: string; groups: readonly RuleGroup[] }

/** The text of a rule file: the same for the same rules, so that a test can tell whether it is up to date. */
export function renderRuleFile({ about, groups }: RuleFile): string {
  const head = [...about.split('\n'), 'Made by `npm run generate:rules`; change the tables, not this file.']
  const body = stringify({ groups }, { lineWidth: 0, blockQuote: 'literal', aliasDuplicateObjects: false })
  return `${head.map((line) => `# ${line}\n`).join('')}${body}`
}
