import test from 'ava'
import { isSandboxProgram } from '../../../agent/model/sandbox-program.ts'
import { engineFactsOf, isSandboxed, noFacts } from '../../../agent/sources/container-masks/sandbox.ts'

test('sandboxes are recognised by name, program and type, and other runtimes are not', (t) => {
  const facts = engineFactsOf({
    DefaultRuntime: 'runc',
    SecurityOptions: ['name=apparmor', 'name=seccomp,profile=default'],
    Runtimes: {
      runc: { path: 'runc' },
      secure: { path: '/usr/local/bin/runsc', runtimeArgs: ['--platform=kvm'] },
      vm: { runtimeType: 'io.containerd.kata.v2' },
      'sysbox-runc': { path: '/usr/bin/sysbox-runc' },
      fast: { path: '/usr/bin/crun' },
    },
  })
  const rows: [string, boolean][] = [
    ['', false],
    ['runc', false],
    ['fast', false],
    ['io.containerd.runc.v2', false],
    ['skatarunc', false],
    ['secure', true],
    ['vm', true],
    ['sysbox-runc', true],
    ['io.containerd.kata.v2', true],
    ['io.containerd.runsc.v1', true],
    ['kata-fc', true],
    ['/opt/bin/containerd-shim-kata-v2', true],
  ]
  for (const [runtime, sandboxed] of rows) t.is(isSandboxed(runtime, facts), sandboxed, runtime)
  t.true(isSandboxed('', { ...facts, defaultRuntime: 'secure' }), 'the engine’s default')
  t.true(isSandboxProgram('/usr/local/bin/runsc'))
  t.false(isSandboxProgram('/usr/sbin/runc'))
})

test('the engine reports whether containers get a seccomp filter', (t) => {
  const rows: [unknown, boolean | null][] = [
    [['name=seccomp,profile=default'], true],
    [['name=seccomp,profile=builtin', 'name=cgroupns'], true],
    [['name=seccomp,profile=unconfined'], false],
    [['name=apparmor'], false],
    [undefined, null],
    ['nonsense', null],
  ]
  for (const [options, seccomp] of rows) t.is(engineFactsOf({ SecurityOptions: options }).seccomp, seccomp)
  t.deepEqual(engineFactsOf({}), noFacts)
  t.deepEqual(engineFactsOf({ Runtimes: 7, DefaultRuntime: 3 }), noFacts)
})
