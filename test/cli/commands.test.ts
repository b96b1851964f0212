import test from 'ava'
import { detectors } from '../../detectors/index.ts'
import { addOption, collect, resolveConfig } from '../../agent/cli/options.ts'
import { createProgram } from '../../agent/cli/index.ts'
import { allRules } from '../../agent/cli/rules.ts'
import { renderTable } from '../../agent/cli/table.ts'
import { stateDirectory } from '../../agent/config/state-directory.ts'
import { readyUrl } from '../../agent/cli/check-ready.ts'
import { tidewatch } from '../support/daemon.ts'
import { freePort } from '../support/processes.ts'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'

test('every command has help', async (t) => {
  const names = createProgram().commands.map((command) => command.name())
  t.deepEqual(names, [
    'run',
    'check-config',
    'check-ready',
    'findings',
    'rules',
    'profile',
    'runtime',
    'version',
  ])
  t.regex(await tidewatch('--help'), /Runtime behaviour monitor for Docker hosts/)
  t.regex(await tidewatch('run', '--help'), /--web\.listen-address <address>.*TIDEWATCH_WEB_LISTEN_ADDRESS/s)
  t.regex(await tidewatch('version'), /^tidewatch \d+\.\d+\.\d+\n$/)
})

test('check-ready asks the daemon on this host', async (t) => {
  t.is(readyUrl('127.0.0.1:15736'), 'http://127.0.0.1:15736/-/ready')
  t.is(readyUrl(':80'), 'http://localhost:80/-/ready')
  t.is(readyUrl('0.0.0.0:80'), 'http://localhost:80/-/ready')
  t.is(readyUrl('[::]:80'), 'http://localhost:80/-/ready')
  t.is(readyUrl('[::1]:80'), 'http://[::1]:80/-/ready')
  const failure = await t.throwsAsync(
    tidewatch('check-ready', `--web.listen-address=127.0.0.1:${await freePort()}`),
  )
  t.like(failure, { code: 1 })
  t.regex(failure?.message ?? '', /no response from http:\/\/127\.0\.0\.1:\d+\/-\/ready/)
})

test('rules are printed as a table or as JSON', async (t) => {
  const lines = (await tidewatch('rules', '--format=json'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as object)
  t.deepEqual(lines, allRules())
  t.is(lines.length, detectors.flatMap(({ rules }) => Object.keys(rules)).length)
  t.regex(await tidewatch('rules'), /^RULE +DETECTOR +SEVERITY +TECHNIQUE +MEANS +DO\n/)
})

test('the summary and remedy of every rule are sentences', (t) => {
  for (const { rule, summary, remedy } of allRules()) {
    for (const text of [summary, remedy]) {
      t.regex(text, /^[A-Z].*\.$/, rule)
      t.true(text.length < 200, rule)
    }
  }
})

test('flags override the environment, the environment the file, and the file the defaults', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-options-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'tidewatch.yml')
  writeFileSync(
    file,
    'log: { level: warn }\nweb: { listen_addresses: ["127.0.0.1:1"] }\nstate_directory: /from/file\n',
  )
  const parse = (args: string[]) => {
    const command = new Command()
    addOption(command, '--config.file <file>', '')
    addOption(command, '--web.listen-address <address>', '', collect)
    addOption(command, '--state.directory <directory>', '')
    addOption(command, '--log.level <level>', '')
    return resolveConfig(command.parse(args, { from: 'user' }).opts())
  }
  const withFile = `--config.file=${file}`
  t.is(parse([]).log.level, 'info')
  t.is(parse([withFile]).log.level, 'warn')
  t.is(parse([withFile]).state_directory, '/from/file')
  t.deepEqual(
    parse([withFile, '--web.listen-address=:1,:2', '--web.listen-address=:3']).web.listen_addresses,
    [':1', ':2', ':3'],
  )
  process.env['TIDEWATCH_LOG_LEVEL'] = 'error'
  t.teardown(() => delete process.env['TIDEWATCH_LOG_LEVEL'])
  t.is(parse([withFile]).log.level, 'error')
  t.is(parse([withFile, '--log.level=debug']).log.level, 'debug')
  t.throws(() => parse(['--log.level=loud']), { message: /^--log\.\*: / })
  t.throws(() => parse(['--web.listen-address=nonsense']), {
    message: /^--web\.listen-address: expected HOST:PORT/,
  })
})

test('the state directory is the configured one, systemd’s, or the default', (t) => {
  const table: [string | undefined, Record<string, string>, boolean, string][] = [
    ['/given', { STATE_DIRECTORY: '/systemd' }, true, '/given'],
    [undefined, { STATE_DIRECTORY: '/systemd:/second' }, true, '/systemd'],
    [undefined, {}, true, '/var/lib/tidewatch'],
    [undefined, { XDG_STATE_HOME: '/home/u/state' }, false, '/home/u/state/tidewatch'],
  ]
  for (const [configured, environment, isRoot, expected] of table) {
    t.is(stateDirectory(configured, environment, isRoot), expected)
  }
  t.regex(stateDirectory(undefined, {}, false), /\/\.local\/state\/tidewatch$/)
})

test('a table has columns without borders', (t) => {
  t.is(
    renderTable(
      ['A', 'LONG'],
      [
        ['1', 'x'],
        ['22', ''],
      ],
    ),
    'A   LONG\n1   x\n22\n',
  )
})
