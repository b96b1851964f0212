import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import { enginePorts } from '../../../../agent/sources/docker/api-requests/engine-ports.ts'
import { knownProcess, running } from '../../processes/samples.ts'
import { temporaryDirectory } from '../../../support/temporary-directory.ts'

const tcp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0947 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0000000000000000 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 102 1 0000000000000000 100 0 0 10 0
   2: 0100007F:0947 0100007F:B000 01 00000000:00000000 00:00000000 00000000     0        0 103 1 0000000000000000 20 4 30 10 -1
`
const tcp6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:0948 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 104 1 0000000000000000 100 0 0 10 0
`
const unix = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 105 /run/docker.sock
0000000000000000: 00000003 00000000 00000000 0001 03 106 /run/docker.sock
0000000000000000: 00000002 00000000 00010000 0001 01 107 /run/other.sock
`
const dockerd = { pid: 10, program: running('/usr/bin/dockerd') }

test('the engine’s ports are those it listens on itself, over IPv4 and IPv6', async (t) => {
  const procRoot = await fakeProc(t, { 10: [101, 103, 104, 105] })
  const portsAt = (endpoint: string, process: Parameters<typeof knownProcess>[0] = dockerd) =>
    enginePorts({ endpoint, table: { living: () => [knownProcess(process)] }, procRoot })
  const found = { pids: [10], ports: [2375, 2376] }
  const none = { pids: [], ports: [] }
  t.deepEqual(portsAt('unix:///var/run/docker.sock'), found)
  t.deepEqual(portsAt('tcp://127.0.0.1:2375'), found)
  t.deepEqual(portsAt('https://localhost:2376'), found)
  // Other engines: on another socket, on another host, in a container; and a process that is no engine.
  t.deepEqual(portsAt('unix:///run/other.sock'), none)
  t.deepEqual(portsAt('tcp://10.0.0.1:2375'), none)
  t.deepEqual(portsAt('unix:///run/docker.sock', { pid: 10, program: running('/usr/bin/podman') }), none)
  t.deepEqual(portsAt('unix:///run/docker.sock', { ...dockerd, pid: 11 }), none)
})

test('an engine without a port is found with no ports', async (t) => {
  const procRoot = await fakeProc(t, { 10: [105] })
  const table = { living: () => [knownProcess(dockerd)] }
  t.deepEqual(enginePorts({ endpoint: 'unix:///run/docker.sock', table, procRoot }), {
    pids: [10],
    ports: [],
  })
})

async function fakeProc(
  t: { teardown: (undo: () => unknown) => void },
  sockets: Readonly<Record<number, readonly number[]>>,
): Promise<string> {
  const root = await temporaryDirectory()
  t.teardown(() => rm(root, { recursive: true, force: true }))
  for (const [pid, inodes] of Object.entries(sockets)) {
    for (const [name, text] of Object.entries({ tcp, tcp6, unix })) {
      const file = join(root, pid, 'net', name)
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
    mkdirSync(join(root, pid, 'fd'))
    for (const [fd, inode] of inodes.entries())
      symlinkSync(`socket:[${inode}]`, join(root, pid, 'fd', String(fd)))
  }
  return root
}
