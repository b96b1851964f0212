import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { renderTable } from '../../agent/cli/table.ts'
import { attachRawTracepoint, programTypes } from '../../agent/linux/bpf.ts'
import { kernelBtf } from '../../agent/linux/btf/kernel-btf.ts'
import { findHierarchy } from '../../agent/ebpf/hierarchy.ts'
import { startRuntime } from '../../agent/ebpf/loader.ts'
import { receivedProgram, sentProgram } from '../../agent/sources/docker/api-requests/tcp-probes/program.ts'
import { loadEmptyProgram } from './empty-program.ts'

// The cost of monitoring the clients of an engine that listens on TCP, for each TCP transfer of the host: a program
// sends 64 bytes over loopback and reads them. Needs root and Linux 6.3 or later. TRANSFERS=5000 ROUNDS=100 by
// default.

const transfers = Number(process.env['TRANSFERS'] ?? 5_000)
const rounds = Number(process.env['ROUNDS'] ?? 100)

const script = `
import socket, sys, time
listener = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
print(listener.getsockname()[1], flush=True)
for line in sys.stdin:
    count, text = line.rstrip().split(' ', 1)
    data = text.encode().ljust(64)
    start = time.perf_counter_ns()
    for _ in range(int(count)):
        client.send(data)
        server.recv(64)
    print((time.perf_counter_ns() - start) / int(count), flush=True)
`
const peers = spawn('python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] })
const lines = createInterface({ input: peers.stdout })
const port = Number((await once(lines, 'line'))[0])

type Way = { name: string; text: string; open: () => () => void }

const ways: readonly Way[] = [
  { name: 'nothing', text: 'GET /info', open: () => () => {} },
  { name: 'empty programs', text: 'GET /info', open: emptyPrograms },
  { name: 'tidewatch, on another port', text: 'GET /info', open: () => monitor(port === 1 ? 2 : 1) },
  { name: 'tidewatch, to the engine', text: 'GET /info', open: () => monitor(port) },
  {
    name: 'tidewatch, each a POST to the engine',
    text: 'POST /containers/x/exec',
    open: () => monitor(port),
  },
]

try {
  const fastest = new Map<Way, number>()
  for (let round = 0; round < rounds; round += 1) {
    // Interleaved, so that other load of the machine affects all of them.
    for (const way of ways) {
      const close = way.open()
      const time = await nanosecondsOf(way.text)
      close()
      fastest.set(way, Math.min(time, fastest.get(way) ?? Infinity))
    }
  }
  const [bare = NaN] = fastest.values()
  process.stdout.write(
    `${rounds} rounds of ${transfers} transfers, each sent and read; the fastest round of each\n\n`,
  )
  process.stdout.write(
    renderTable(
      ['MONITORED BY', 'ns', 'ADDED ns', 'RATIO'],
      [...fastest].map(([{ name }, time]) => [
        name,
        time.toFixed(0),
        (time - bare).toFixed(0),
        (time / bare).toFixed(2),
      ]),
    ),
  )
} finally {
  peers.kill()
}

async function nanosecondsOf(text: string): Promise<number> {
  const answer = once(lines, 'line')
  peers.stdin.write(`${transfers} ${text}\n`)
  return Number((await answer)[0])
}

function monitor(watched: number): () => void {
  const runtime = startRuntime({
    btf: kernelBtf(),
    programs: [receivedProgram([watched]), sentProgram([watched])],
    hierarchy: findHierarchy('/proc'),
    budget: 0,
    // Large enough for a whole round, because a dropped record would be cheaper.
    ringBytes: 1 << 23,
  })
  return () => runtime.close()
}

/** The kernel's overhead for any such programs. */
function emptyPrograms(): () => void {
  const fds = ['sock_recv_length', 'sock_send_length'].flatMap((tracepoint) => {
    const program = loadEmptyProgram(programTypes.rawTracepoint, 0)
    return [attachRawTracepoint(tracepoint, program), program]
  })
  return () => fds.forEach((fd) => closeSync(fd))
}
