import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import { isJournal, journalEntry } from '../../agent/log/journald.ts'
import { socketStream } from '../../agent/log/socket-stream.ts'
import { syslogLine } from '../../agent/log/syslog.ts'
import { run } from '../support/processes.ts'
import { sampleFinding } from '../support/samples.ts'
import { until } from '../support/until.ts'

const finding = sampleFinding({
  severity: 'critical',
  rule: 'interactive-shell',
  evidence: { argv: ['sh', '-c', 'echo "]\n\\'] },
})

const logModule = pathToFileURL(join(import.meta.dirname, '../../agent/log/log.ts')).href

/** Runs a program that logs two lines around its start-up summary, and returns its output. */
function logged(format: string): Promise<string> {
  const program = `
    import { createLog, flushLog } from '${logModule}'
    const redact = (text) => text.replaceAll('secret', '***')
    const { log, start } = createLog({ level: 'info', format: '${format}', host: 'h', redact })
    log.warn('early: secret', { reason: 'secret', count: 1 })
    log.debug('not logged')
    start([{ level: 'info', message: 'summary', url: 'http://a' }])
    log.info('late')
    await flushLog(log)`
  return run(process.execPath, '--input-type=module', '--eval', program)
}

test('the start-up summary comes first; JSON lines have a level and fields, without secrets', async (t) => {
  const lines = (await logged('json')).trim().split('\n')
  t.deepEqual(
    lines.map((line) => ({ ...(JSON.parse(line) as object), timestamp: '' })),
    [
      { timestamp: '', level: 'info', message: 'summary', url: 'http://a' },
      { timestamp: '', level: 'warn', message: 'early: ***', reason: '***', count: 1 },
      { timestamp: '', level: 'info', message: 'late' },
    ],
  )
})

test('lines are dropped and counted while standard output is stuck', async (t) => {
  const output = await run(
    process.execPath,
    '--input-type=module',
    '--eval',
    `
    import { createLog } from '${logModule}'
    const { log, start, lost } = createLog({ level: 'info', format: 'text', host: 'h', redact: (text) => text })
    start([])
    Object.defineProperty(process.stdout, 'writableLength', { value: 2 ** 21 })
    log.info('dropped')
    log.info('dropped')
    process.stdout.write(String(lost()))`,
  )
  t.is(output, '2')
})

test('text lines have a time and a level', async (t) => {
  const lines = (await logged('text')).trim().split('\n')
  t.deepEqual(
    lines.map((line) => line.replace(/^\d\d:\d\d:\d\d /, '')),
    ['info  summary', 'warn  early: ***', 'info  late'],
  )
})

test('the journal gets a finding’s fields, one line each, even with hostile content', (t) => {
  const lines = journalEntry({ level: 'error', message: 'CRITICAL a\nPRIORITY=7', finding }).split('\n')
  t.is(lines[0], 'MESSAGE=CRITICAL a\\nPRIORITY=7')
  t.is(lines[1], 'PRIORITY=2')
  t.true(lines.includes('TIDEWATCH_RULE=interactive-shell'))
  t.true(lines.includes(`TIDEWATCH_FINDING_ID=${finding.id}`))
  t.true(lines.slice(0, -1).every((line) => /^[A-Z_]+=./.test(line)))
})

test('a line without a finding has its fields as details, and its level as priority', (t) => {
  t.is(
    journalEntry({ level: 'warn', message: 'x', url: 'http://a' }),
    'MESSAGE=x\nPRIORITY=4\nSYSLOG_IDENTIFIER=tidewatch\nTIDEWATCH_DETAILS={"url":"http://a"}\n',
  )
})

test('syslog gets structured data whose content is escaped', (t) => {
  const line = syslogLine(
    { level: 'error', message: 'CRITICAL sh', finding },
    { host: 'node 7', pid: 42, time: new Date(0) },
  )
  t.true(
    line.startsWith('<26>1 1970-01-01T00:00:00.000Z node?7 tidewatch 42 interactive-shell [tidewatch@32473 '),
  )
  t.true(line.endsWith('] CRITICAL sh'))
  const data = /\[tidewatch@32473((?: [a-z_]+="(?:[^"\\\]]|\\.)*")+)\] CRITICAL sh$/.exec(line)
  t.truthy(data)
  t.is(
    syslogLine({ level: 'info', message: 'x' }, { host: '', pid: 1, time: new Date(0) }),
    '<30>1 1970-01-01T00:00:00.000Z - tidewatch 1 - - x',
  )
})

test('only the socket that systemd passed is the journal', (t) => {
  t.true(isJournal('8:123', { dev: 8, ino: 123 }))
  t.false(isJournal('8:12', { dev: 8, ino: 123 }))
  t.false(isJournal(undefined, { dev: 8, ino: 123 }))
})

test('a message arrives whole, at a path and at an abstract socket', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'tidewatch-test-log-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  for (const path of [join(directory, 'socket'), `@tidewatch-test-${process.pid}`]) {
    const program =
      "import socket,sys; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); n=sys.argv[1]; s.bind(('\\0'+n[1:]) if n[0]=='@' else n); print('ready',flush=True); [print(len(s.recv(300000)),flush=True) for _ in range(2)]"
    const listener = spawn('python3', ['-c', program, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    listener.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    await until(() => output.includes('ready'))
    const stream = socketStream({ path, otherwise: (text) => t.fail(text), onLost: () => t.fail() })
    stream.write('a\nb\n')
    stream.end('x'.repeat(100_000))
    await once(listener, 'exit')
    t.is(output, 'ready\n4\n100000\n')
  }
})

test('if nothing listens, the line is passed on and not lost', async (t) => {
  const otherwise: string[] = []
  const stream = socketStream({
    path: '/nowhere/socket',
    otherwise: (text) => otherwise.push(text),
    onLost: () => t.fail(),
  })
  stream.write('one')
  stream.end('two')
  await once(stream, 'finish')
  t.deepEqual(otherwise, ['one', 'two'])
})

test('lines for a slow reader are dropped and counted, without blocking', (t) => {
  const path = `@tidewatch-test-full-${process.pid}`
  const listener = spawn(
    'python3',
    [
      '-c',
      `import socket,time; s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind('\\0${path.slice(1)}'); print('ready',flush=True); time.sleep(60)`,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => listener.kill())
  return once(listener.stdout, 'data').then(() => {
    let lost = 0
    const stream = socketStream({
      path,
      otherwise: (text) => t.fail(text),
      onLost: (count) => (lost += count),
    })
    for (let n = 0; n < 5_000; n += 1) stream.write('x'.repeat(1_000))
    t.true(lost > 0 && lost < 5_000)
  })
})
