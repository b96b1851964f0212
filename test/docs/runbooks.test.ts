import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { allRules } from '../../agent/cli/rules.ts'
import { alertName } from '../../exporters/alertmanager/alert.ts'
import { healthAlerts } from '../../exporters/prometheus/rules/health-alerts.ts'
import { runbookUrls, scrapedRunbookUrl } from '../../exporters/runbooks.ts'

const directory = join(import.meta.dirname, '../../docs/runbooks')
const pages = readdirSync(directory).map((name) => ({
  name,
  text: readFileSync(join(directory, name), 'utf8'),
}))
const textOf = (alert: string) => pages.find(({ name }) => name === `${alert}.md`)?.text ?? ''

test('an alert links to the operator’s own page, or to the page that the daemon serves', (t) => {
  const daemon = 'http://node-7:15736'
  t.is(runbookUrls({ daemon })('TidewatchDown'), 'http://node-7:15736/runbooks/TidewatchDown')
  t.is(
    runbookUrls({ configured: 'https://wiki.test/', daemon })('TidewatchDown'),
    'https://wiki.test/TidewatchDown.md',
  )
  t.is(scrapedRunbookUrl('TidewatchDown'), 'http://{{ $labels.instance }}/runbooks/TidewatchDown')
})

test('every alert has a runbook page', (t) => {
  const alerts = [...allRules().map(({ rule }) => alertName(rule)), ...Object.keys(healthAlerts)]
  t.deepEqual(
    alerts.filter((alert) => textOf(alert) === ''),
    [],
  )
})

test('every page has its four sections: meaning, investigation, response and false positives', (t) => {
  for (const { name, text } of pages) {
    t.true(text.startsWith(`# ${name.replace(/\.md$/, '')}\n`), name)
    const [, ...parts] = text.split(/^## /m)
    const heads = parts.map((part) => part.slice(0, part.indexOf('\n')))
    t.deepEqual(heads, ['What it means', 'How to look closer', 'What to do', 'False positives'], name)
    for (const part of parts) t.true(part.slice(part.indexOf('\n')).trim().length >= 10, `${name}: ${part}`)
  }
})

test('a page about a finding has the detector, severity and kind of its rule', (t) => {
  for (const { detector, rule, severity, kind } of allRules()) {
    const line = `\`${detector}\`, rule \`${rule}\`: ${severity}, ${kind}.`
    t.true(textOf(alertName(rule)).includes(line), `${rule}: ${line}`)
  }
})
