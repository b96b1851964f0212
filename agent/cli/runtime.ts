import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { Command, Option } from 'commander'
import {
  acceptDigest,
  allBinaries,
  forgetBinary,
  isAccepted,
  type KnownBinary,
  readBinary,
} from '../../detectors/runtime-path-write/known-binaries.ts'
import { runtimePathWrite } from '../../detectors/runtime-path-write/index.ts'
import { messageOf, UserError } from '../lib/errors.ts'
import type { Memory } from '../model/detector.ts'
import { printable } from '../lib/text.ts'
import { readFileState } from '../sources/runtime-files/integrity/hash.ts'
import { withDetectorMemory } from './detector-memory.ts'
import { addOption, type Flags } from './options.ts'
import { renderTable } from './table.ts'

type ListFlags = Flags & { format: 'table' | 'json' }

/** `tidewatch runtime`: the programs that run when Docker starts a container, and what they should be. */
export function runtimeCommand(): Command {
  const command = new Command('runtime').description('the programs that run when Docker starts a container')
  const subcommand = (name: string, description: string) => {
    const made = command.command(name).description(description)
    addOption(made, '--config.file <file>', 'configuration file, for its state directory')
    addOption(made, '--state.directory <directory>', 'where the daemon keeps what it knows')
    return made
  }
  subcommand('list', 'every program, whose it is, and whether it is what it should be')
    .addOption(new Option('--format <format>', 'table or json').choices(['table', 'json']).default('table'))
    .action((flags: ListFlags) =>
      withDetectorMemory(flags, runtimePathWrite.name, (memory) => list(memory, flags.format)),
    )
  subcommand('accept', 'take a program as it is now for what it should be')
    .argument('<path>', 'as `runtime list` shows it')
    .action(accept)
  return command
}

type Row = { path: string; state: string } & Omit<KnownBinary, 'trust'>

function list(memory: Memory, format: 'table' | 'json'): void {
  const rows = allBinaries(memory).map(({ path, binary: { trust, ...binary } }): Row => {
    const isSettled = trust === 'differs' && isAccepted(memory, path, binary.sha256)
    return { path, state: isSettled ? 'accepted' : trust, ...binary }
  })
  if (format === 'json') {
    process.stdout.write(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    return
  }
  const cells = rows.map(({ path, state, package: of, version, sha256 }) =>
    [path, state, of, version, sha256.slice(0, shortDigest)].map(printable),
  )
  process.stdout.write(renderTable(['PATH', 'STATE', 'PACKAGE', 'VERSION', 'SHA-256'], cells))
}

// As docker shows them.
const shortDigest = 12

async function accept(argument: string, flags: Flags): Promise<void> {
  const path = realPath(argument)
  const sha256 = await digestOf(path)
  withDetectorMemory(flags, runtimePathWrite.name, (memory) => {
    if (readBinary(memory, path) === null)
      throw new UserError(`${printable(path)} is none of the runtime's programs; \`runtime list\` shows all`)
    if (sha256 === null) {
      forgetBinary(memory, path)
      say(`forgot ${path}, which is not there any more`)
    } else {
      acceptDigest(memory, path, sha256)
      say(`accepted ${path} as it is, SHA-256 ${sha256}`)
    }
  })
}

/** As the daemon knows it: without symbolic links. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}

async function digestOf(path: string): Promise<string | null> {
  try {
    return (await readFileState(path))?.sha256 ?? null
  } catch (error) {
    throw new UserError(`cannot read ${printable(path)}: ${messageOf(error)}`)
  }
}

function say(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}
