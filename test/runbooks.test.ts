import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { allRules } from '../agent/cli/rules.ts'
import { alertName } from '../exporters/alertmanager/alert.ts'
import { healthAlerts } from '../exporters/prometheus/rules/health-alerts.ts'
import { defaultRunbookBase } from '../agent/config/schema.ts'
import { runbookUrl } from '../exporters/runbooks.ts'

const directory = join(import.meta.dirname, '../docs/runbooks')
const pages = readdirSync(directory).map((name) => ({
  name,
  text: readFileSync(join(directory, name), 'utf8'),
}))
const textOf = (alert: string) => pages.find(({ name }) => name === `${alert}.md`)?.text ?? ''

test('every alert has a runbook page where its link leads', (t) => {
  t.regex(defaultRunbookBase, /\/docs\/runbooks$/)
  t.is(runbookUrl('TidewatchDown', 'https://wiki.test/'), 'https://wiki.test/TidewatchDown.md')
  const alerts = [...allRules().map(({ rule }) => alertName(rule)), ...Object.keys(healthAlerts)]
  t.deepEqual(
    alerts.filter((alert) => textOf(alert) === ''),
    [],
  )
})

test('every page says what the alert means, how to look closer, what to do, and when it is wrong', (t) => {
  for (const { name, text } of pages) {
    t.true(text.startsWith(`# ${name.replace(/\.md$/, '')}\n`), name)
    const [, ...parts] = text.split(/^## /m)
    const heads = parts.map((part) => part.slice(0, part.indexOf('\n')))
    t.deepEqual(heads, ['What it means', 'How to look closer', 'What to do', 'False positives'], name)
    for (const part of parts) t.true(part.slice(part.indexOf('\n')).trim().length >= 10, `${name}: ${part}`)
  }
})

test('a page about a finding names its detector, severity and kind as the rule table has them', (t) => {
  for (const { detector, rule, severity, kind } of allRules()) {
    const line = `\`${detector}\`, rule \`${rule}\`: ${severity}, ${kind}.`
    t.true(textOf(alertName(rule)).includes(line), `${rule}: ${line}`)
  }
})

test('pages link to pages that are there', (t) => {
  for (const { name, text } of pages) {
    for (const [, target = ''] of text.matchAll(/\]\(([^)]+)\)/g)) {
      t.true(
        pages.some((page) => page.name === target),
        `${name}: ${target}`,
      )
    }
  }
})
