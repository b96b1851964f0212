import { Command, Option } from 'commander'
import {
  allProfiles,
  forget,
  programsOf,
  type Profile,
  writeProfile,
} from '../../detectors/unexpected-root-process/profile.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { UserError } from '../lib/errors.ts'
import type { Memory } from '../model/detector.ts'
import { printable } from '../lib/text.ts'
import { withDetectorMemory } from './detector-memory.ts'
import { addOption, type Flags } from './options.ts'
import { renderTable } from './table.ts'

type Found = { key: string; profile: Profile }
type ListFlags = Flags & { format: 'table' | 'json' }

/** `tidewatch profile`: the programs that run as root, as they were learned; beside a running daemon, which notices. */
export function profileCommand(): Command {
  const command = new Command('profile').description('the learned programs that run as root, by image')
  const subcommand = (name: string, description: string) => {
    const made = command.command(name).description(description)
    addOption(made, '--config.file <file>', 'configuration file, for its state directory')
    addOption(made, '--state.directory <directory>', 'where the daemon keeps what it learned')
    return made
  }
  const format = () =>
    new Option('--format <format>', 'table or json').choices(['table', 'json']).default('table')

  subcommand('list', 'every image and whether its profile is learned')
    .addOption(format())
    .action((flags: ListFlags) => withMemory(flags, (memory) => list(allProfiles(memory), flags.format)))
  subcommand('show', 'the programs of an image')
    .argument('<image>', image)
    .addOption(format())
    .action((name: string, flags: ListFlags) =>
      withMemory(flags, (memory) => show(memory, find(memory, name), flags.format)),
    )
  subcommand('approve', 'end learning now: from here on a new program is a finding')
    .argument('<image>', image)
    .action((name: string, flags: Flags) =>
      withMemory(flags, (memory) => approve(memory, find(memory, name))),
    )
  subcommand('forget', 'begin learning anew')
    .argument('<image>', image)
    .action((name: string, flags: Flags) =>
      withMemory(flags, (memory) => {
        for (const { key, profile } of find(memory, name)) {
          forget(memory, key)
          say(`forgot ${profile.image}, ${profile.programs} programs`)
        }
      }),
    )
  return command
}

const image = 'name, or the beginning of its digest; a container’s name where there is no image'

function list(profiles: readonly Found[], format: 'table' | 'json'): void {
  if (format === 'json') return printJson(profiles.map(({ key, profile }) => ({ key, ...profile })))
  const rows = profiles.map(({ key, profile: { image: name, learned, ranMs, programs } }) => [
    printable(name),
    learned ? 'learned' : 'learning',
    `${(ranMs / 3_600_000).toFixed(1)} h`,
    String(programs),
    printable(shortKey(key)),
  ])
  process.stdout.write(renderTable(['IMAGE', 'STATE', 'SEEN FOR', 'PROGRAMS', 'DIGEST'], rows))
}

function show(memory: Memory, found: readonly Found[], format: 'table' | 'json'): void {
  const programs = found.flatMap(({ key, profile }) =>
    programsOf(memory, key).map((program) => ({ image: profile.image, key, program })),
  )
  if (format === 'json') return printJson(programs)
  const rows = programs.map(({ image: name, key, program }) => [name, shortKey(key), program].map(printable))
  process.stdout.write(renderTable(['IMAGE', 'DIGEST', 'PROGRAM'], rows))
}

function approve(memory: Memory, found: readonly Found[]): void {
  for (const { key, profile } of found) {
    writeProfile(memory, key, { ...profile, learned: true })
    say(`approved ${profile.image}, ${profile.programs} programs`)
  }
}

function find(memory: Memory, name: string): Found[] {
  const found = allProfiles(memory).filter(
    ({ key, profile }) => profile.image === name || isDigest(key, name) || key === `container:${name}`,
  )
  if (found.length === 0) throw new UserError(`there is no profile of ${name}; \`profile list\` shows all`)
  return found
}

function isDigest(key: string, name: string): boolean {
  return name.length >= shortDigest && key.replace(/^sha256:/, '').startsWith(name.replace(/^sha256:/, ''))
}

// As docker shows them.
const shortDigest = 12

function shortKey(key: string): string {
  return key.startsWith('sha256:') ? key.slice(7, 7 + shortDigest) : ''
}

function withMemory(flags: Flags, work: (memory: Memory) => void): void {
  withDetectorMemory(flags, unexpectedRootProcess.name, work)
}

function printJson(rows: readonly object[]): void {
  process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
}

function say(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}
