import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { start, whenReady } from './processes.ts'
import { temporaryDirectory } from './temporary-directory.ts'

// Node has no Unix datagram sockets, and the fake systemd must not use the tested code.
const receiver = `
import json, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1].replace('@', '\\0', 1))
print('ready', flush=True)
while True:
    text, control, _, _ = s.recvmsg(65536, 64)
    pid = int.from_bytes(control[0][2][:4], sys.byteorder)
    print(json.dumps({'pid': pid, 'text': text.decode()}), flush=True)
`

/** The content of one message, and the sending process as reported by the kernel. */
export type Notification = { pid: number; text: string }

/** A fake of systemd's side of sd_notify(3), at a path or in the abstract namespace. */
export async function notifySocket(t: ExecutionContext, kind: 'path' | 'abstract' = 'path') {
  const directory = await temporaryDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const address = `${kind === 'abstract' ? '@' : ''}${join(directory, 'notify')}`
  const running = start('python3', ['-c', receiver, address])
  t.teardown(() => running.stop('SIGKILL'))
  await whenReady(running, () => running.output().startsWith('ready\n'))
  const received = (): Notification[] =>
    running
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as Notification)
  return { address, received, lines: () => received().flatMap(({ text }) => text.split('\n')) }
}
