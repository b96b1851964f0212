import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { answerReports, type Tally } from './observer.ts'

// bpftrace with the exec script of its documentation, and a reader that gets the other fields from /proc.
const [, , , id = '', nonce = '', user = ''] = process.argv

const script =
  'tracepoint:syscalls:sys_enter_execve { printf("%llu %d %d ", nsecs, pid, uid); join(args->argv); }'
// bpftrace needs tracefs, which not every host has mounted, so it runs in its own mount namespace.
const mountAndRun = `mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; exec bpftrace -B line -e '${script}'`
const bpftrace = spawn('unshare', ['--mount', 'sh', '-c', mountAndRun], { stdio: ['ignore', 'pipe', 'pipe'] })
const tally: Tally = { right: 0, seen: 0, lost: 0, latencies: [] }

createInterface({ input: bpftrace.stderr }).on('line', countLost)
createInterface({ input: bpftrace.stdout }).on('line', (line) => {
  if (line.startsWith('Attaching')) setTimeout(() => process.stdout.write('ready\n'), 2_000)
  countLost(line)
  const [time = '', pid = '', uid = '', program, word, number] = line.split(' ')
  if (word !== nonce || number === undefined) return
  tally.seen += 1
  // nsecs is the monotonic clock, like hrtime.
  tally.latencies.push(Number(process.hrtime.bigint() - BigInt(time)) / 1e6)
  if (program === '/bin/true' && uid === user && isInContainer(pid)) tally.right += 1
})
process.once('exit', () => bpftrace.kill('SIGKILL'))
answerReports(tally)

function countLost(line: string): void {
  tally.lost += Number(/^Lost (\d+) events/.exec(line)?.[1] ?? 0)
}

function isInContainer(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'latin1').includes(id)
  } catch {
    return false
  }
}
