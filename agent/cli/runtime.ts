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

/** `tidewatch runtime`: the container runtime's binaries and their expected digests. */
export function runtimeCommand(): Command {
  const command = new Command('runtime').description(
    'manage the binaries that Docker runs to start a container',
  )
  const subcommand = (name: string, description: string) => {
    const made = command.command(name).description(description)
    addOption(made, '--config.file <file>', 'configuration file, for the state directory')
    addOption(made, '--state.directory <directory>', 'state directory of the daemon')
    return made
  }
  subcommand('list', 'list all binaries with their package and whether their digest is as expected')
    .addOption(new Option('--format <format>', 'output format').choices(['table', 'json']).default('table'))
    .action((flags: ListFlags) =>
      withDetectorMemory(flags, runtimePathWrite.name, (memory) => list(memory, flags.format)),
    )
  subcommand('accept', 'accept the current content of a binary')
    .argument('<path>', 'path as shown by `runtime list`')
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

// The length that Docker prints.
const shortDigest = 12

async function accept(argument: string, flags: Flags): Promise<void> {
  const path = realPath(argument)
  const sha256 = await digestOf(path)
  withDetectorMemory(flags, runtimePathWrite.name, (memory) => {
    if (readBinary(memory, path) === null)
      throw new UserError(`${printable(path)} is not a runtime binary; list all with \`runtime list\``)
    if (sha256 === null) {
      forgetBinary(memory, path)
      print(`forgot ${path}, which no longer exists`)
    } else {
      acceptDigest(memory, path, sha256)
      print(`accepted ${path} with SHA-256 ${sha256}`)
    }
  })
}

/** The daemon stores paths with symbolic links resolved. */
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

function print(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}
