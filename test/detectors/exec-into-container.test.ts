import test from 'ava'
import { of, toArray, firstValueFrom } from 'rxjs'
import { execIntoContainer, rulesOfExec } from '../../detectors/exec-into-container.ts'
import { silent } from '../support/observed.ts'
import { sampleContainer, sampleExec } from '../support/samples.ts'

const user1000 = sampleContainer({ details: { user: '1000:1000' } })
const privileged = sampleContainer({ details: { privileged: true } })
const unknown = sampleContainer({ details: null })

test('the rules of an exec, the one about rights before the one about a terminal', (t) => {
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
    ['the configured user', { container: user1000, settings: { user: '1000:1000' } }, ['exec-command']],
    ['root where root is configured', { settings: { user: 'root' } }, ['exec-command']],
    [
      'root where nobody knows what is configured',
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
    ['an exec that could not be asked about', { settings: null }, ['exec-command']],
    ['an exec without a command', { argv: [] }, ['exec-command']],
  ]
  for (const [what, exec, rules] of table) t.deepEqual(rulesOfExec(sampleExec(exec)), rules, what)
})

test('health checks are not reported, everything else is, once', async (t) => {
  const execs$ = of(sampleExec({ healthcheck: true }), sampleExec({ argv: ['id', '-u'] }))
  const detections = await firstValueFrom(execIntoContainer.detect({ ...silent, execs$ }, {}).pipe(toArray()))
  t.is(detections.length, 1)
  t.like(detections[0], {
    rule: 'exec-command',
    summary: 'root ran id -u in web-1',
    act: 'e'.repeat(64),
    evidence: { argv: ['id', '-u'], argv_exact: true, tty: false },
  })
})
