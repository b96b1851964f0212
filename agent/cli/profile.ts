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

/** `tidewatch profile`: the learned programs that run as root. A running daemon picks up changes. */
export function profileCommand(): Command {
  const command = new Command('profile').description('manage the learned programs that run as root, by image')
  const subcommand = (name: string, description: string) => {
    const made = command.command(name).description(description)
    addOption(made, '--config.file <file>', 'configuration file, for the state directory')
    addOption(made, '--state.directory <directory>', 'state directory of the daemon')
    return made
  }
  const format = () =>
    new Option('--format <format>', 'output format').choices(['table', 'json']).default('table')

  subcommand('list', 'list all images and whether learning is complete')
    .addOption(format())
    .action((flags: ListFlags) => withMemory(flags, (memory) => list(allProfiles(memory), flags.format)))
  subcommand('show', 'show the learned programs of an image')
    .argument('<image>', image)
    .addOption(format())
    .action((name: string, flags: ListFlags) =>
      withMemory(flags, (memory) => show(memory, find(memory, name), flags.format)),
    )
  subcommand('approve', 'end learning now: from then on a new program is a finding')
    .argument('<image>', image)
    .action((name: string, flags: Flags) =>
      withMemory(flags, (memory) => approve(memory, find(memory, name))),
    )
  subcommand('forget', 'discard the profile and start learning again')
    .argument('<image>', image)
    .action((name: string, flags: Flags) =>
      withMemory(flags, (memory) => {
        for (const { key, profile } of find(memory, name)) {
          forget(memory, key)
          print(`forgot ${profile.image}, ${profile.programs} programs`)
        }
      }),
    )
  return command
}

const image = 'image name or digest prefix; the container name if there is no image'

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
    print(`approved ${profile.image}, ${profile.programs} programs`)
  }
}

function find(memory: Memory, name: string): Found[] {
  const found = allProfiles(memory).filter(
    ({ key, profile }) => profile.image === name || isDigest(key, name) || key === `container:${name}`,
  )
  if (found.length === 0) throw new UserError(`no profile for ${name}; list all with \`profile list\``)
  return found
}

function isDigest(key: string, name: string): boolean {
  return name.length >= shortDigest && key.replace(/^sha256:/, '').startsWith(name.replace(/^sha256:/, ''))
}

// The length that Docker prints.
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

function print(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}
