import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../config/units.ts'
import { stateDirectory } from '../config/state-directory.ts'
import { type Finding, severities } from '../model/finding.ts'
import { BoundedMap } from '../lib/bounded-map.ts'
import { printable } from '../lib/text.ts'
import { outcomeOf, resolutionOf } from '../../exporters/resolution.ts'
import { readWithRevision } from '../store/read.ts'
import { addOption, type Flags, resolveConfig } from './options.ts'
import { renderTable } from './table.ts'

type FindingsFlags = Flags & {
  since?: number
  detector?: string
  severity?: string
  container?: string
  suppressed?: true
  follow?: true
  format: 'table' | 'json'
}

/** `tidewatch findings`: reads the findings store, also while a daemon writes to it. */
export function findingsCommand(): Command {
  const command = new Command('findings').description('read the findings store')
  addOption(command, '--config.file <file>', 'configuration file, for the state directory')
  addOption(command, '--state.directory <directory>', 'state directory of the daemon')
  return command
    .option('--since <duration>', 'only findings from this last period, such as 1h', parseSince)
    .option('--detector <name>', 'only findings of this detector')
    .addOption(
      new Option('--severity <severity>', 'only findings of at least this severity').choices(severities),
    )
    .option('--container <name>', 'only findings in this container')
    .option('--suppressed', 'show suppressed findings instead of reported ones')
    .option('--follow', 'keep printing findings that are new or change: repeats, results, resolutions')
    .addOption(
      new Option('--format <format>', 'output format; json prints one finding per line')
        .choices(['table', 'json'])
        .default('table'),
    )
    .action(printFindings)
}

async function printFindings(flags: FindingsFlags): Promise<void> {
  const directory = stateDirectory(resolveConfig(flags).state_directory, process.env)
  const since = flags.since === undefined ? 0 : Date.now() - flags.since
  const severity = severities.find((name) => name === flags.severity)
  const query = { ...flags, severity, since, suppressed: flags.suppressed === true }
  const write = flags.format === 'json' ? printJson : tablePrinter()
  const found = readWithRevision(directory, query)
  write(found.findings)
  let { revision } = found
  while (flags.follow === true) {
    await sleep(followMs)
    let more = readWithRevision(directory, { ...query, afterRevision: revision })
    // The daemon has created a new store.
    if (more.revision < revision) more = readWithRevision(directory, { ...query, afterRevision: 0 })
    write(more.findings)
    revision = more.revision
  }
}

const followMs = 500

function printJson(findings: readonly Finding[]): void {
  process.stdout.write(findings.map((finding) => `${JSON.stringify(finding)}\n`).join(''))
}

const maxShown = 10_000

/** Prints the head of the table once, and a finding again only if its row changed: details arrive one by one. */
function tablePrinter(): (findings: readonly Finding[]) => void {
  const shown = new BoundedMap<string, string>(maxShown)
  let isFirst = true
  return (findings) => {
    const rows = findings.flatMap((finding) => {
      const cells = row(finding)
      const text = cells.join('\t')
      if (shown.get(finding.id) === text) return []
      shown.setNewest(finding.id, text)
      return [cells]
    })
    if (!isFirst && rows.length === 0) return
    const text = renderTable(['TIME', 'SEVERITY', 'STATE', 'RULE', 'CONTAINER', 'SUMMARY'], rows, widths)
    process.stdout.write(isFirst ? text : text.slice(text.indexOf('\n') + 1))
    isFirst = false
  }
}

// Fixed widths, so that rows added by `--follow` stay aligned; the last column takes the remaining width.
const widths = [21, 10, 10, 27, 22, 400]

function row(finding: Finding): string[] {
  const { last_seen, severity, kind, state, rule, container, count } = finding
  const when = last_seen.replace('T', ' ').slice(0, 19)
  return [
    when,
    severity,
    kind === 'event' && state === 'firing' ? '' : state,
    rule,
    printable(container?.name ?? ''),
    printable(finding.summary) + (count > 1 ? ` (${count} times)` : '') + endOf(finding),
  ]
}

function endOf(finding: Finding): string {
  const reason = resolutionOf(finding)
  return reason === '' ? '' : ` (${outcomeOf(finding)}: ${reason})`
}

function parseSince(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new InvalidArgumentError('expected a duration such as 30s, 5m or 1h30m.')
  return ms
}
