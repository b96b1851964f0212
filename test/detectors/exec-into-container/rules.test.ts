import test from 'ava'
import { isShell, rulesOfExec } from '../../../detectors/exec-into-container/rules.ts'
import { sampleContainer, sampleExec } from '../../support/samples.ts'

const user1000 = sampleContainer({ details: { user: '1000:1000' } })
const privileged = sampleContainer({ details: { privileged: true } })
const unknown = sampleContainer({ details: null })
const checked = sampleContainer({ details: { healthcheck: { argv: ['check', '-q'], intervalSeconds: 30 } } })

test('the rules of an exec: those about rights come before the one about a terminal', (t) => {
  const table: [string, Parameters<typeof sampleExec>[0], string[]][] = [
    ['a plain command', {}, ['exec-command']],
    ['a terminal', { settings: { tty: true } }, ['interactive-shell', 'exec-command']],
    [
      'a shell on open input',
      { argv: ['/bin/sh'], settings: { openStdin: true } },
      ['interactive-shell', 'exec-command'],
    ],
    [
      'another program on open input',
      { argv: ['tar', '-x'], settings: { openStdin: true } },
      ['exec-command'],
    ],
    ['a shell without input', { argv: ['sh', '-c', 'true'] }, ['exec-command']],
    [
      'root where 1000 is configured',
      { container: user1000, settings: { user: 'root' } },
      ['exec-as-root', 'exec-command'],
    ],
    [
      '0:0 where 1000 is configured',
      { container: user1000, settings: { user: '0:0' } },
      ['exec-as-root', 'exec-command'],
    ],
    [
      '+00 where 1000 is configured',
      { container: user1000, settings: { user: '+00' } },
      ['exec-as-root', 'exec-command'],
    ],
    ['the configured user', { container: user1000, settings: { user: '1000:1000' } }, ['exec-command']],
    ['root where root is configured', { settings: { user: 'root' } }, ['exec-command']],
    [
      'root where the configured user is unknown',
      { container: unknown, settings: { user: 'root' } },
      ['exec-command'],
    ],
    ['--privileged', { settings: { privileged: true } }, ['privileged-exec', 'exec-command']],
    [
      '--privileged in a privileged container',
      { container: privileged, settings: { privileged: true } },
      ['exec-command'],
    ],
    [
      'everything at once',
      {
        container: user1000,
        argv: ['bash'],
        settings: { user: '', tty: true, openStdin: true, privileged: true },
      },
      ['privileged-exec', 'exec-as-root', 'interactive-shell', 'exec-command'],
    ],
    [
      'a health check’s command with a terminal',
      { container: checked, argv: ['check', '-q'], settings: { tty: true } },
      ['healthcheck-lookalike', 'interactive-shell', 'exec-command'],
    ],
    [
      'a health check’s command as another user',
      { container: checked, argv: ['check', '-q'], settings: { user: '33' } },
      ['healthcheck-lookalike', 'exec-command'],
    ],
    [
      'nearly a health check’s command',
      { container: checked, argv: ['check', '-q', '-q'] },
      ['exec-command'],
    ],
    ['a health check', { container: checked, argv: ['check', '-q'], healthcheck: true }, ['exec-command']],
    ['an exec that could not be inspected', { settings: null }, ['exec-command']],
    ['an exec without a command', { argv: [] }, ['exec-command']],
  ]
  for (const [what, exec, rules] of table) t.deepEqual(rulesOfExec(sampleExec(exec)), rules, what)
})

test('a shell is recognised at any path', (t) => {
  const table: [string[], boolean][] = [
    [['sh'], true],
    [['/bin/bash', '-l'], true],
    [['-ash'], true],
    [['/usr/bin/busybox', 'sh'], true],
    [['busybox', 'cat'], false],
    [['/usr/bin/nsenter', 'sh'], false],
    [[], false],
  ]
  for (const [argv, expected] of table) t.is(isShell(argv), expected, argv.join(' '))
})
