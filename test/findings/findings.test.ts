import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import { type Config, detectorConfigFor } from '../../agent/config/schema.ts'
import { createFindings } from '../../agent/findings/findings.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { sampleContainer, sampleDetection, sampleFinding } from '../support/samples.ts'

function findingsWith(
  given: Config | { config: Config } = configuration.defaults(),
  firing: readonly Finding[] = [],
  known: readonly { act: string; finding: Finding }[] = [],
) {
  let id = 0
  const now = () => 2_000_004
  const config = () => ('config' in given ? given.config : given)
  const policyOf = () => createPolicy({ config: config().policy, now, onNotice: () => {} })
  return createFindings({
    host: 'node-7',
    now,
    newId: () => String((id += 1)),
    configOf: (name, container) => detectorConfigFor(config(), name, container),
    allowedBy: (finding, labels) => policyOf().allowedBy(finding, labels),
    redact: policyOf().redact,
    firing,
    findByAct: (rule, act) =>
      known.find((one) => one.act === act && one.finding.rule === rule)?.finding ?? null,
  })
}

const condition = (rest = {}) =>
  sampleDetection({
    rule: 'source-degraded',
    container: null,
    subject: ['processes'],
    evidence: { reason: 'a' },
    ...rest,
  })

test('a detection becomes a finding with host, times, severity and fingerprint', (t) => {
  const publication = findingsWith().from(execIntoContainer, sampleDetection())
  t.is(publication?.change, 'new')
  t.is(publication?.act, 'e1')
  t.like(publication?.finding, {
    id: '1',
    time: '1970-01-01T00:33:20.000Z',
    detected_at: '1970-01-01T00:33:20.004Z',
    detector: 'exec-into-container',
    rule: 'exec-command',
    severity: 'info',
    kind: 'event',
    state: 'firing',
    host: 'node-7',
    container: { name: 'web-1', image: 'nginx:1.27' },
    count: 1,
  })
  t.regex(publication?.finding.fingerprint ?? '', /^[0-9a-f]{12}$/)
})

test('the fingerprint is the same for the same thing happening again, and differs with what it is about', (t) => {
  const print = (rest = {}) =>
    findingsWith().from(execIntoContainer, sampleDetection(rest))?.finding.fingerprint
  t.is(print(), print({ time: 3_000_000, act: 'e2', evidence: {}, summary: 'other' }))
  t.not(print(), print({ subject: ['sh', 'root'] }))
  t.not(print(), print({ rule: 'exec-as-root' }))
  t.not(print(), print({ container: null }))
  t.not(print({ subject: ['a', 'b'] }), print({ subject: ['ab'] }))
})

test('of the rules that apply to one act the most severe speaks, as severities are configured', (t) => {
  const detection = sampleDetection({ rule: 'interactive-shell', also: ['exec-as-root', 'exec-command'] })
  const speaks = (rules: object) => {
    const config = configuration.schema.parse({ detectors: { 'exec-into-container': { rules } } })
    const finding = findingsWith(config).from(execIntoContainer, detection)?.finding
    return [finding?.rule, finding?.severity, finding?.evidence['also']]
  }
  t.deepEqual(speaks({}), ['interactive-shell', 'warning', ['exec-as-root', 'exec-command']])
  t.deepEqual(speaks({ 'exec-as-root': { severity: 'critical' } }), [
    'exec-as-root',
    'critical',
    ['interactive-shell', 'exec-command'],
  ])
  t.deepEqual(speaks({ 'interactive-shell': { enabled: false }, 'exec-as-root': { enabled: false } }), [
    'exec-command',
    'info',
    undefined,
  ])
})

test('a rule that is off says nothing', (t) => {
  const config = configuration.schema.parse({
    detectors: { 'exec-into-container': { rules: { 'exec-command': { enabled: false } } } },
  })
  t.is(findingsWith(config).from(execIntoContainer, sampleDetection()), null)
})

test('a condition is one finding from its beginning to its end', (t) => {
  const findings = findingsWith()
  const began = findings.from(monitorIntegrity, condition())
  const went = findings.from(monitorIntegrity, condition({ time: 2_000_500, evidence: { reason: 'b' } }))
  t.is(findings.firing().length, 1)
  const ended = findings.from(monitorIntegrity, condition({ time: 2_001_000, state: 'resolved' }))
  t.deepEqual([began?.change, went?.change, ended?.change], ['new', 'updated', 'resolved'])
  t.deepEqual([began?.finding.id, went?.finding.id, ended?.finding.id], ['1', '1', '1'])
  t.deepEqual(went?.finding.evidence, { reason: 'b' })
  t.like(ended?.finding, {
    state: 'resolved',
    first_seen: '1970-01-01T00:33:20.000Z',
    last_seen: '1970-01-01T00:33:21.000Z',
  })
  t.is(findings.firing().length, 0)
  t.is(findings.from(monitorIntegrity, condition({ state: 'resolved' })), null)
  t.not(findings.from(monitorIntegrity, condition())?.finding.id, '1')
})

test('a condition of an earlier run goes on under its id, or ends when nobody confirms it', (t) => {
  const known = findingsWith().from(monitorIntegrity, condition())?.finding as Finding
  const other = sampleFinding({ id: 'old', kind: 'condition', fingerprint: 'unseen' })
  const findings = findingsWith(configuration.defaults(), [{ ...known, id: 'kept' }, other])
  t.like(findings.from(monitorIntegrity, condition()), { change: 'updated', finding: { id: 'kept' } })
  t.like(findings.resolveUnconfirmed(), [{ change: 'resolved', finding: { id: 'old', state: 'resolved' } }])
  t.deepEqual(
    findings.firing().map(({ id }) => id),
    ['kept'],
  )
  t.deepEqual(findings.resolveUnconfirmed(), [])
})

test('hostile text is bounded and escaped before it goes anywhere', (t) => {
  const huge = 'x'.repeat(200_000)
  const finding = findingsWith().from(
    execIntoContainer,
    sampleDetection({
      summary: `evil\n\x1b[2J${huge}`,
      evidence: { text: huge, list: Array.from({ length: 9_999 }, () => huge), deep: { [huge]: huge } },
    }),
  )?.finding
  t.regex(finding?.summary ?? '', /^evil\\n\\x1b\[2Jx+…\[200\d{3} characters\]$/)
  t.true(JSON.stringify(finding).length < 600_000)
})

test('a rule that the detector does not have is an error, not a finding', (t) => {
  t.throws(() => findingsWith().from(execIntoContainer, sampleDetection({ rule: 'made-up' })), {
    message: /exec-into-container has no rule made-up/,
  })
})

test('what becomes known later is added to the finding of its act, which stays one', (t) => {
  const told = findingsWith().from(execIntoContainer, sampleDetection())?.finding as Finding
  const findings = findingsWith(configuration.defaults(), [], [{ act: 'e1', finding: told }])
  const more = {
    completes: true,
    evidence: { exit_code: 3 },
    summary: 'root ran true in web-1 (exit code 3)',
  }
  t.like(findings.from(execIntoContainer, sampleDetection(more)), {
    change: 'updated',
    finding: {
      id: told.id,
      evidence: { argv: ['true'], exit_code: 3 },
      summary: 'root ran true in web-1 (exit code 3)',
    },
  })
  t.is(findings.from(execIntoContainer, sampleDetection({ ...more, act: 'never told' })), null)
})

test('what was known of an act before a restart is not taken back by what is not known since', (t) => {
  const told = sampleFinding({ rule: 'exec-command', evidence: { caller: { user: 'alice' } } })
  const findings = findingsWith(configuration.defaults(), [], [{ act: 'e1', finding: told }])
  const evidence = { caller: undefined, programs: undefined, exit_code: 0 }
  const completed = findings.from(execIntoContainer, sampleDetection({ completes: true, evidence }))
  t.deepEqual(completed?.finding.evidence, { caller: { user: 'alice' }, exit_code: 0 })
})

test('an act is completed under the rule that told it, though severities were configured anew since', (t) => {
  const also = ['exec-command']
  const told = sampleFinding({ rule: 'exec-command', evidence: { argv: ['sh'] } })
  const findings = findingsWith(configuration.defaults(), [], [{ act: 'e1', finding: told }])
  const completed = findings.from(
    execIntoContainer,
    sampleDetection({ completes: true, rule: 'interactive-shell', also, evidence: { exit_code: 0 } }),
  )
  t.like(completed?.finding, {
    id: told.id,
    rule: 'exec-command',
    evidence: { argv: ['sh'], exit_code: 0, also: ['interactive-shell'] },
  })
})

const allowing = (when: string) =>
  configuration.schema.parse({ policy: { allow: [{ reason: 'known', when }] } })

test('what is allowed is a finding of state suppressed, with the reason', (t) => {
  const findings = findingsWith(allowing('evidence.argv[0] == "true"'))
  const allowed = findings.from(execIntoContainer, sampleDetection())
  t.like(allowed, {
    change: 'new',
    finding: { state: 'suppressed', suppressed: { by: 'policy.allow[0]', reason: 'known' } },
  })
  t.like(findings.from(execIntoContainer, sampleDetection({ evidence: { argv: ['sh'] } })), {
    change: 'new',
    finding: { state: 'firing' },
  })
})

test('the policy sees the labels of the container', (t) => {
  const findings = findingsWith(allowing('container.labels["team"] == "db"'))
  const stateIn = (labels: Record<string, string>) =>
    findings.from(execIntoContainer, sampleDetection({ container: sampleContainer({ labels }) }))?.finding
      .state
  t.is(stateIn({ team: 'db' }), 'suppressed')
  t.is(stateIn({ team: 'web' }), 'firing')
  t.is(stateIn({}), 'firing')
})

test('what becomes known later decides anew whether an act is allowed', (t) => {
  const told = findingsWith().from(execIntoContainer, sampleDetection())?.finding as Finding
  const later = (config: Config, known: Finding, evidence = {}) =>
    findingsWith(config, [], [{ act: 'e1', finding: known }]).from(
      execIntoContainer,
      sampleDetection({ completes: true, evidence }),
    )
  const config = allowing('evidence.caller.user == "backup"')
  t.like(later(config, told, { caller: { user: 'alice' } }), {
    change: 'updated',
    finding: { state: 'firing' },
  })
  const allowed = later(config, told, { caller: { user: 'backup' } })
  t.like(allowed, { change: 'suppressed', finding: { id: told.id, state: 'suppressed' } })
  t.like(later(config, allowed?.finding as Finding), { change: 'updated', finding: { state: 'suppressed' } })
  const released = later(allowing('evidence.exit_code == 0'), allowed?.finding as Finding, { exit_code: 1 })
  t.like(released, { change: 'released', finding: { id: told.id, state: 'firing' } })
  t.false('suppressed' in (released?.finding ?? {}))
})

test('a condition that is allowed neither fires nor resolves for anybody', (t) => {
  const findings = findingsWith(allowing('rule == "source-degraded"'))
  t.like(findings.from(monitorIntegrity, condition()), { change: 'new', finding: { state: 'suppressed' } })
  t.deepEqual(findings.firing(), [])
  t.like(findings.from(monitorIntegrity, condition()), {
    change: 'updated',
    finding: { state: 'suppressed' },
  })
  t.like(findings.from(monitorIntegrity, condition({ state: 'resolved' })), {
    change: 'updated',
    finding: { state: 'suppressed' },
  })
  t.is(findings.from(monitorIntegrity, condition({ state: 'resolved' })), null)
})

test('a changed policy is applied to the conditions that are known', (t) => {
  const free = configuration.schema.parse({})
  const off = configuration.schema.parse({
    detectors: { 'monitor-integrity': { rules: { 'source-degraded': { enabled: false } } } },
  })
  const inUse = { config: free }
  const findings = findingsWith(inUse)
  findings.from(monitorIntegrity, condition())
  t.deepEqual(findings.reconsider(), [])
  inUse.config = allowing('rule == "source-degraded"')
  t.like(findings.reconsider(), [{ change: 'suppressed', finding: { state: 'suppressed' } }])
  t.deepEqual(findings.firing(), [])
  t.deepEqual(findings.reconsider(), [])
  inUse.config = free
  t.like(findings.reconsider(), [{ change: 'released', finding: { state: 'firing' } }])
  t.is(findings.firing().length, 1)
  inUse.config = off
  t.like(findings.reconsider(), [{ change: 'resolved', finding: { state: 'resolved' } }])
  t.deepEqual(findings.firing(), [])
})

test('a condition whose severity is configured anew ends as what it was and begins as what it is', (t) => {
  const rule = (severity: string) => {
    const parsed = configuration.parseValue({
      detectors: { 'monitor-integrity': { rules: { 'source-degraded': { severity } } } },
    })
    if ('config' in parsed) return parsed.config
    throw new Error('refused')
  }
  const inUse = { config: rule('warning') }
  const findings = findingsWith(inUse)
  const told = findings.from(monitorIntegrity, condition())?.finding
  inUse.config = rule('critical')
  const [ended, begun, ...others] = findings.reconsider()
  t.like(ended, { change: 'resolved', finding: { id: told?.id, severity: 'warning', state: 'resolved' } })
  t.like(begun, {
    change: 'new',
    finding: { severity: 'critical', state: 'firing', first_seen: told?.first_seen },
  })
  t.not(begun?.finding.id, told?.id)
  t.deepEqual(others, [])
  t.deepEqual(findings.firing(), [begun?.finding])
  t.deepEqual(findings.reconsider(), [])
  t.like(findings.from(monitorIntegrity, condition()), {
    change: 'updated',
    finding: { severity: 'critical' },
  })
})

test('a detector that was started anew has to confirm what it had found', (t) => {
  const findings = findingsWith()
  findings.from(monitorIntegrity, condition())
  findings.from(monitorIntegrity, condition({ subject: ['resources'] }))
  findings.doubt('resource-limit-breach')
  t.deepEqual(findings.resolveUnconfirmed(), [])
  findings.doubt('monitor-integrity')
  findings.from(monitorIntegrity, condition())
  t.is(findings.resolveUnconfirmed().length, 1)
  t.is(findings.firing().length, 1)
})

test('secrets are in no finding, wherever a detector puts them', (t) => {
  const finding = findingsWith().from(
    execIntoContainer,
    sampleDetection({
      summary: 'root ran mysql -uroot -phunter2 shop in web-1',
      evidence: {
        argv: ['mysql', '-uroot', '-phunter2', 'shop'],
        caller: { argv: ['docker', 'exec', '-e', 'DB_PASSWORD=hunter2', 'web-1', 'env'] },
        environment: { API_TOKEN: 'hunter2' },
        url: 'postgres://app:hunter2@db/shop',
      },
    }),
  )?.finding
  t.notRegex(JSON.stringify(finding), /hunter2/)
  t.is(finding?.summary, 'root ran mysql -uroot -p*** shop in web-1')
})

test('rules can be off, or worse, in some containers only', (t) => {
  const parsed = configuration.parseValue({
    detectors: {
      'exec-into-container': {
        overrides: [
          { match: { image: 'nginx:*', label: 'team=db*' }, enabled: false },
          { match: { name: 'web-*' }, rules: { 'exec-command': { severity: 'critical' } } },
        ],
      },
    },
  })
  const findings = findingsWith('config' in parsed ? parsed.config : undefined)
  const said = (rest = {}) =>
    findings.from(execIntoContainer, sampleDetection({ container: sampleContainer(rest) }))?.finding.severity
  t.is(said({ labels: { team: 'db-1' } }), undefined)
  t.is(said(), 'critical')
  t.is(said({ name: 'other' }), 'info')
})

test('what is part of an act that was told is added to it, and else stands for itself', (t) => {
  const entered = sampleDetection({ rule: 'untracked-exec', act: 'a1' })
  const partOf = { rule: 'untracked-exec', act: 'a1' }
  const rootOfIt = sampleDetection({ rule: 'root-in-nonroot-container', act: 'p1', partOf })
  const entry = findingsWith().from(execIntoContainer, entered)?.finding as Finding
  const findings = (known: Finding[], config = {}) =>
    findingsWith(
      configuration.schema.parse(config),
      [],
      known.map((finding) => ({ act: 'a1', finding })),
    )
  const speaks = (by: ReturnType<typeof findings>) => {
    const publication = by.from(unexpectedRootProcess, rootOfIt)
    return publication && [publication.change, publication.finding.rule, publication.finding.evidence['also']]
  }
  const itself = ['new', 'root-in-nonroot-container', undefined]
  t.deepEqual(speaks(findings([entry])), ['updated', 'untracked-exec', ['root-in-nonroot-container']])
  const withBoth = { ...entry, evidence: { also: ['root-in-nonroot-container'] } }
  t.is(speaks(findings([withBoth])), null)
  t.deepEqual(speaks(findings([])), itself)
  t.deepEqual(speaks(findings([{ ...entry, state: 'suppressed' }])), itself)
  t.deepEqual(speaks(findings([{ ...entry, severity: 'info' }])), itself)
  const off = { detectors: { 'unexpected-root-process': { enabled: false } } }
  t.is(speaks(findings([entry], off)), null)

  // Folded into an earlier one, or beyond the budget: then it is not in the store.
  const folding = findings([])
  folding.from(execIntoContainer, entered)
  t.is(speaks(folding), null)
  const allowed = findings([], { policy: { allow: [{ reason: 'known', when: 'rule == "untracked-exec"' }] } })
  t.like(allowed.from(execIntoContainer, entered), { finding: { state: 'suppressed' } })
  t.deepEqual(speaks(allowed), itself)
})
