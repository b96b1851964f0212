import { configuration } from '../../agent/daemon/configuration.ts'
import { cpuUsage } from 'node:process'
import { setImmediate as turn } from 'node:timers/promises'
import { monotonicFactory } from 'ulid'
import { renderTable } from '../../agent/cli/table.ts'
import { currentConfig } from '../../agent/config/current.ts'
import { reload } from '../../agent/config/reload.ts'
import type { Config } from '../../agent/config/schema.ts'
import type { Publication } from '../../agent/findings/publication.ts'
import type { Container } from '../../agent/model/container.ts'
import type { Detection } from '../../agent/model/finding.ts'
import { currentRedactor } from '../../agent/policy/current-redactor.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import { createRepeats } from '../../agent/policy/repeats.ts'
import { createThrottle } from '../../agent/policy/throttle.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { sampleFindings } from '../support/findings.ts'
import { sampleContainer, sampleDetection } from '../support/samples.ts'

// Detections through the complete policy: findings are created, redacted, checked against 50 allow entries, folded
// and throttled, with a reload every 50,000 in the last row. Nothing is stored or sent. FINDINGS=300000 by default
// for each row, after a third of it to warm up. Measures CPU time, to reduce the effect of other load; the row
// without policy only creates findings, for comparison. The goal: 100,000 per second on one core with constant
// memory.

const measured = Number(process.env['FINDINGS'] ?? 300_000)
const warmUp = Math.ceil(measured / 3_000) * 1_000
const reloadEvery = 50_000
const goal = 100_000

const entries = Array.from({ length: 50 }, (_, n) => {
  const whens = [
    `rule == "exec-command" && container.image.startsWith("postgres:${n}") && evidence.argv[0] == "pg_dump"`,
    `detector == "exec-into-container" && container.labels["team"] == "team-${n}" && evidence.user != "root"`,
    `container.name == "job-${n}" && evidence.argv.exists(a, a == "--version")`,
    `rule == "interactive-shell" && evidence.caller.login_user == "user-${n}"`,
    `rule == "exec-command" && container.name == "cron-${n}" && evidence.argv[0].matches("^/opt/job-${n}/")`,
  ]
  return { reason: `entry ${n}`, when: whens[n % whens.length] ?? '' }
})
const worst = Array.from({ length: 50 }, (_, n) => ({
  reason: `entry ${n}`,
  when: `container.labels["team"] == "team-${n}" && evidence.argv.exists(a, a == "--version")`,
}))
const evaluated = Array.from({ length: 50 }, (_, n) => ({
  reason: `entry ${n}`,
  when: `evidence.argv.exists(a, a == "--version-${n}")`,
}))

const containers: Container[] = Array.from({ length: 200 }, (_, n) =>
  sampleContainer({
    id: n.toString(16).padStart(64, '0'),
    name: `web-${n}`,
    labels: { team: `team-${n % 7}x` },
  }),
)

/** An exec in one of the containers: of a few programs with a few secrets, or of a different program each time. */
function detectionOf(n: number, kind: 'burst' | 'spread'): Detection {
  const program = kind === 'burst' ? `job-${n % 5}` : `job-${n}`
  return sampleDetection({
    time: Date.now(),
    eventKey: `e${n}`,
    container: containers[n % containers.length] ?? null,
    subject: [program, 'root'],
    summary: `root ran \`${program} --password=hunter2\` in web-${n % containers.length}`,
    evidence: {
      argv: [program, '--password=hunter2', '--url', 'https://u:p@example.com/x', `--part=${n % 1_000}`],
      user: 'root',
      tty: false,
      pid: n,
      caller: { pid: 1, user: 'root', login_user: 'alice', argv: ['docker', 'exec', 'web', program] },
    },
  })
}

type Row = {
  name: string
  allow: readonly object[]
  kind: 'burst' | 'spread'
  reloads?: boolean
  /** Only creates findings. */
  bare?: boolean
}

async function measure({ name, allow, kind, reloads = false, bare = false }: Row): Promise<string[]> {
  const load = (trust_labels: boolean): Config => {
    const parsed = configuration.parseValue({ policy: { allow, trust_labels } })
    if ('config' in parsed) return parsed.config
    throw new Error(JSON.stringify(parsed.issues))
  }
  const current = currentConfig(load(false))
  const policy = createPolicy({ config: current.now().policy, now: Date.now, onNotice: () => {} })
  const settings = () => current.now().policy.throttle
  const repeats = createRepeats({ foldMs: () => settings().fold, now: Date.now })
  const throttle = createThrottle({ settings, now: Date.now })
  const findings = sampleFindings({
    config: current.now,
    now: Date.now,
    newId: monotonicFactory(),
    allowedBy: bare ? () => null : policy.allowedBy,
    redact: bare ? { text: (text) => text, field: (_, value) => value } : currentRedactor(current),
  })
  const pool = Array.from({ length: kind === 'burst' ? 5_000 : 50_000 }, (_, n) => detectionOf(n, kind))
  const outcomes = { reported: 0, folded: 0, 'over-budget': 0, allowed: 0 }
  let given = 0
  let reloadCount = 0
  let longestMs = 0

  function admit({ finding, eventKey, act }: Publication): 'reported' | 'folded' | 'over-budget' {
    if (repeats.fold(finding, eventKey)) return 'folded'
    if (!throttle.admit(finding, act ?? { program: '', actor: '' })) return 'over-budget'
    repeats.open(finding)
    return 'reported'
  }

  function give(): void {
    for (let n = 0; n < 1_000; n += 1) {
      const [publication] = findings.from(execIntoContainer, pool[given % pool.length]!)
      given += 1
      if (publication === undefined || bare) continue
      outcomes[admit(publication)] += 1
      if (publication.finding.state === 'suppressed') outcomes.allowed += 1
    }
  }

  function reloadNow(): void {
    const at = performance.now()
    const reloaded = reload(current.now(), () => load(reloadCount % 2 === 0))
    if (!reloaded.ok) throw new Error(reloaded.problems.join('\n'))
    policy.replace(reloaded.config.policy)
    current.replace(reloaded.config)
    findings.reconsider()
    reloadCount += 1
    longestMs = Math.max(longestMs, performance.now() - at)
  }

  async function go(count: number): Promise<void> {
    const end = given + count
    while (given < end) {
      give()
      if (given % 10_000 === 0) repeats.take()
      if (reloads && given % reloadEvery === 0) reloadNow()
      await turn()
    }
  }

  await go(warmUp)
  globalThis.gc?.()
  const heapBefore = process.memoryUsage().heapUsed
  const cpu = cpuUsage()
  await go(measured)
  const { user, system } = cpuUsage(cpu)
  globalThis.gc?.()
  const grownMiB = (process.memoryUsage().heapUsed - heapBefore) / 2 ** 20
  const perCpuSecond = measured / ((user + system) / 1e6)
  const judged = bare ? given : outcomes.reported + outcomes.folded + outcomes['over-budget']
  return [
    name,
    Math.round(perCpuSecond).toLocaleString('en'),
    `${(perCpuSecond / goal).toFixed(2)}x`,
    `${grownMiB.toFixed(1)} MiB`,
    String(outcomes.reported),
    String(outcomes.folded),
    String(outcomes['over-budget']),
    String(given - judged),
    reloads ? `${reloadCount}, ${longestMs.toFixed(0)} ms at most` : '',
  ]
}

const rows: Row[] = [
  { name: 'without policy', allow: [], kind: 'burst', bare: true },
  { name: 'no entries, burst', allow: [], kind: 'burst' },
  { name: '50 entries, burst', allow: entries, kind: 'burst' },
  { name: '50 entries, different programs', allow: entries, kind: 'spread' },
  { name: '50 entries without a rule', allow: worst, kind: 'burst' },
  { name: '50 entries that must be evaluated', allow: evaluated, kind: 'burst' },
  { name: '50 entries, burst, reloads', allow: entries, kind: 'burst', reloads: true },
]
const table: string[][] = []
for (const row of rows) table.push(await measure(row))
process.stdout.write(
  renderTable(
    ['WHAT', 'A CPU SECOND', 'OF GOAL', 'HEAP GROWTH', 'TOLD', 'FOLDED', 'OVER BUDGET', 'LOST', 'RELOADS'],
    table,
  ),
)
