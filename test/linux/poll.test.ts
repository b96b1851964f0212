import test from 'ava'
import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { onReadable } from '../../agent/linux/poll.ts'
import { run } from '../support/processes.ts'
import { until } from '../support/until.ts'

/** A FIFO opened at both ends, so that the test can write to it and read from it. */
function openFifo(t: { teardown: (fn: () => void) => void }): number {
  const folder = mkdtempSync(join(tmpdir(), 'tidewatch-poll-'))
  const path = join(folder, 'fifo')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => {
    closeSync(fd)
    rmSync(folder, { recursive: true })
  })
  return fd
}

test('the callback runs once for each write', async (t) => {
  const fd = openFifo(t)
  const read: string[] = []
  const polling = onReadable(fd, () => {
    const bytes = Buffer.alloc(16)
    read.push(bytes.toString('utf8', 0, readSync(fd, bytes)))
  })
  for (const text of ['one', 'two']) {
    writeSync(fd, text)
    await until(() => read.includes(text))
  }
  polling.close()
  t.deepEqual(read, ['one', 'two'])
})

test('after close, which may be called twice, the callback never runs', async (t) => {
  const fd = openFifo(t)
  let calls = 0
  const polling = onReadable(fd, () => calls++)
  polling.close()
  polling.close()
  writeSync(fd, 'unheard')
  await setTimeout(20)
  t.is(calls, 0)
})

test('a callback may close its own polling', async (t) => {
  const fd = openFifo(t)
  let calls = 0
  const polling = onReadable(fd, () => {
    calls++
    polling.close()
  })
  writeSync(fd, 'left unread')
  await until(() => calls > 0)
  await setTimeout(20)
  t.is(calls, 1)
})

test('an error of the callback surfaces on its own, and polling continues', async (t) => {
  const script = `
    import { openSync, readSync, writeSync, constants } from 'node:fs'
    import { onReadable } from ${JSON.stringify(new URL('../../agent/linux/poll.ts', import.meta.url).href)}
    const fd = openSync(process.argv[1], constants.O_RDWR | constants.O_NONBLOCK)
    let calls = 0
    process.on('uncaughtException', (error) => {
      console.log(error.message)
      if (calls < 2) writeSync(fd, 'again')
      else polling.close()
    })
    const polling = onReadable(fd, () => {
      readSync(fd, Buffer.alloc(16))
      throw new Error('call ' + ++calls)
    })
    writeSync(fd, 'first')`
  const folder = mkdtempSync(join(tmpdir(), 'tidewatch-poll-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  execFileSync('mkfifo', [join(folder, 'fifo')])
  t.is(
    await run(process.execPath, '--input-type=module', '-e', script, join(folder, 'fifo')),
    'call 1\ncall 2\n',
  )
})
