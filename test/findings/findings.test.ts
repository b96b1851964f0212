import { configuration } from '../../agent/daemon/configuration.ts'
import test from 'ava'
import type { Config } from '../../agent/config/schema.ts'
import type { Findings } from '../../agent/findings/findings.ts'
import { createPolicy } from '../../agent/policy/policy.ts'
import type { Finding } from '../../agent/model/finding.ts'
import { execIntoContainer } from '../../detectors/exec-into-container/index.ts'
import { monitorIntegrity } from '../../detectors/monitor-integrity/index.ts'
import { unexpectedRootProcess } from '../../detectors/unexpected-root-process/index.ts'
import { onlyOne, sampleFindings } from '../support/findings.ts'
import { sampleContainer, sampleDetection, sampleFinding } from '../support/samples.ts'

function findingsWith(
  given: Config | { config: Config } = configuration.defaults(),
  firing: readonly Finding[] = [],
  known: readonly { eventKey: string; finding: Finding }[] = [],
) {
  const config = () => ('config' in given ? given.config : given)
  const policyOf = () => createPolicy({ config: config().policy, now: () => 2_000_004, onNotice: () => {} })
  const findings = sampleFindings({
    config,
    allowedBy: (finding, labels) => policyOf().allowedBy(finding, labels),
    firing,
    findByEventKey: (rule, eventKey) =>
      known.find((one) => one.eventKey === eventKey && one.finding.rule === rule)?.finding ?? null,
  })
  return {
    ...findings,
    from: (...detected: Parameters<Findings['from']>) => onlyOne(findings.from(...detected)),
  }
}

const condition = (rest = {}) =>
  sampleDetection({
    rule: 'source-degraded',
    container: null,
    subject: ['processes'],
    evidence: { reason: 'a' },
    ...rest,
  })

test('what began earlier and was still so when it was found has both times', (t) => {
  const publication = findingsWith().from(
    execIntoContainer,
    sampleDetection({ time: 1_000, lastSeen: 2_000_000 }),
  )
  const [began, found] = ['1970-01-01T00:00:01.000Z', '1970-01-01T00:33:20.000Z']
  t.like(publication?.finding, { time: began, first_seen: began, last_seen: found })
})

test('a detection becomes a finding with host, times, severity and fingerprint', (t) => {
  const publication = findingsWith().from(execIntoContainer, sampleDetection())
  t.is(publication?.change, 'new')
  t.is(publication?.eventKey, 'e1')
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

test('acts have equal fingerprints if rule, container, subject, target user and actor are equal', (t) => {
  const print = (rest = {}) =>
    findingsWith().from(execIntoContainer, sampleDetection(rest))?.finding.fingerprint
  t.is(print(), print({ time: 3_000_000, eventKey: 'e2', evidence: {}, summary: 'other' }))
  t.not(print(), print({ subject: ['sh', 'root'] }))
  t.not(print(), print({ rule: 'exec-as-root' }))
  t.not(print(), print({ container: null }))
  t.not(print(), print({ container: sampleContainer({ id: 'c'.repeat(64) }) }))
  t.is(print(), print({ container: sampleContainer({ name: 'renamed' }) }))
  t.not(print({ subject: ['a', 'b'] }), print({ subject: ['ab'] }))
  t.not(print({ actor: 'alice' }), print({ actor: 'mallory' }))
  t.not(print({ targetUser: 'root' }), print({ targetUser: '1000' }))
})

test('a fingerprint differs by a long command’s last word, and not by its password', (t) => {
  const print = (...subject: string[]) =>
    findingsWith().from(execIntoContainer, sampleDetection({ subject }))?.finding.fingerprint
  const long = Array.from({ length: 20_000 }, (_, n) => `word ${n}`)
  t.not(print(...long, 'a'), print(...long, 'b'))
  t.is(print('mysql', '--password=hunter2'), print('mysql', '--password=12345'))
  t.not(print('mysql', '--password=hunter2'), print('mysql', '--user=hunter2'))
})

test('hosts of one name have different fingerprints', (t) => {
  const print = (hostId: string) =>
    onlyOne(sampleFindings({ hostId }).from(execIntoContainer, sampleDetection()))?.finding.fingerprint
  t.is(print('a'), print('a'))
  t.not(print('a'), print('b'))
})

test('of all rules that match an event the most severe fires, by configured severity', (t) => {
  const detection = sampleDetection({ rule: 'interactive-shell', also: ['exec-as-root', 'exec-command'] })
  const firedBy = (rules: object) => {
    const config = configuration.schema.parse({ detectors: { 'exec-into-container': { rules } } })
    const finding = findingsWith(config).from(execIntoContainer, detection)?.finding
    return [finding?.rule, finding?.severity, finding?.evidence['also']]
  }
  t.deepEqual(firedBy({}), ['interactive-shell', 'warning', ['exec-as-root', 'exec-command']])
  t.deepEqual(firedBy({ 'exec-as-root': { severity: 'critical' } }), [
    'exec-as-root',
    'critical',
    ['interactive-shell', 'exec-command'],
  ])
  t.deepEqual(firedBy({ 'interactive-shell': { enabled: false }, 'exec-as-root': { enabled: false } }), [
    'exec-command',
    'info',
    undefined,
  ])
})

test('a disabled rule makes no finding', (t) => {
  const config = configuration.schema.parse({
    detectors: { 'exec-into-container': { rules: { 'exec-command': { enabled: false } } } },
  })
  t.is(findingsWith(config).from(execIntoContainer, sampleDetection()), null)
})

test('a condition is one finding from start to end', (t) => {
  const findings = findingsWith()
  const started = findings.from(monitorIntegrity, condition())
  const went = findings.from(monitorIntegrity, condition({ time: 2_000_500, evidence: { reason: 'b' } }))
  t.is(findings.firing().length, 1)
  const ended = findings.from(
    monitorIntegrity,
    condition({ time: 2_001_000, state: 'resolved', summary: 'it recovered' }),
  )
  t.deepEqual([started?.change, went?.change, ended?.change], ['new', 'updated', 'resolved'])
  t.deepEqual([started?.finding.id, went?.finding.id, ended?.finding.id], ['1', '1', '1'])
  t.deepEqual(went?.finding.evidence, { reason: 'b' })
  t.like(ended?.finding, {
    state: 'resolved',
    summary: started?.finding.summary ?? '',
    first_seen: '1970-01-01T00:33:20.000Z',
    last_seen: '1970-01-01T00:33:21.000Z',
    resolved_at: '1970-01-01T00:33:21.000Z',
    resolution: 'it recovered',
  })
  t.is(findings.firing().length, 0)
  t.is(findings.from(monitorIntegrity, condition({ state: 'resolved' })), null)
})

test('a condition of an earlier run continues under its id, or ends if it is not confirmed', (t) => {
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

test('hostile text is bounded and escaped', (t) => {
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

test('an update is added to the finding of its event', (t) => {
  const reported = findingsWith().from(execIntoContainer, sampleDetection())?.finding as Finding
  const findings = findingsWith(configuration.defaults(), [], [{ eventKey: 'e1', finding: reported }])
  const more = {
    isUpdate: true,
    evidence: { exit_code: 3 },
    summary: 'alice ran `true` in web-1 (exit 3 after 0.1 s)',
  }
  t.like(findings.from(execIntoContainer, sampleDetection(more)), {
    change: 'updated',
    finding: {
      id: reported.id,
      evidence: { argv: ['true'], exit_code: 3 },
      summary: 'alice ran `true` in web-1 (exit 3 after 0.1 s)',
    },
  })
  const late = findings.from(execIntoContainer, sampleDetection({ ...more, eventKey: 'never reported' }))
  t.like(late, { change: 'new', act: { isLateUpdate: true } })
})

test('a correction that changes the summary of a reported event is news, and other updates are not', (t) => {
  const reported = findingsWith().from(execIntoContainer, sampleDetection())?.finding as Finding
  const changeOf = (rest = {}, finding = reported, config = configuration.defaults()) =>
    findingsWith(config, [], [{ eventKey: 'e1', finding }]).from(
      execIntoContainer,
      sampleDetection({ isUpdate: true, isCorrection: true, summary: 'alice tried it; it failed', ...rest }),
    )?.change
  t.is(changeOf(), 'corrected')
  t.is(changeOf({ summary: reported.summary }), 'updated')
  t.is(changeOf({ isCorrection: false }), 'updated')
  const known = { ...reported, state: 'suppressed' as const, suppressed: { by: 'a', reason: 'b' } }
  t.is(changeOf({}, known, allowing('true')), 'updated')
  t.is(changeOf({}, reported, allowing('true')), 'suppressed')
})

test('details from before a restart are not overwritten by unknown ones', (t) => {
  const reported = sampleFinding({ rule: 'exec-command', evidence: { caller: { user: 'alice' } } })
  const findings = findingsWith(configuration.defaults(), [], [{ eventKey: 'e1', finding: reported }])
  const evidence = { caller: undefined, programs: undefined, exit_code: 0 }
  const completed = findings.from(execIntoContainer, sampleDetection({ isUpdate: true, evidence }))
  t.deepEqual(completed?.finding.evidence, { caller: { user: 'alice' }, exit_code: 0 })
})

test('an update applies to the rule that reported the event, even if severities changed since', (t) => {
  const also = ['exec-command']
  const reported = sampleFinding({ rule: 'exec-command', evidence: { argv: ['sh'] } })
  const findings = findingsWith(configuration.defaults(), [], [{ eventKey: 'e1', finding: reported }])
  const completed = findings.from(
    execIntoContainer,
    sampleDetection({ isUpdate: true, rule: 'interactive-shell', also, evidence: { exit_code: 0 } }),
  )
  t.like(completed?.finding, {
    id: reported.id,
    rule: 'exec-command',
    evidence: { argv: ['sh'], exit_code: 0, also: ['interactive-shell'] },
  })
})

const allowing = (when: string) =>
  configuration.schema.parse({ policy: { allow: [{ reason: 'known', when }] } })

test('an allowed finding has state suppressed, with the reason', (t) => {
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

test('the policy is applied again to an updated finding', (t) => {
  const reported = findingsWith().from(execIntoContainer, sampleDetection())?.finding as Finding
  const later = (config: Config, known: Finding, evidence = {}) =>
    findingsWith(config, [], [{ eventKey: 'e1', finding: known }]).from(
      execIntoContainer,
      sampleDetection({ isUpdate: true, evidence }),
    )
  const config = allowing('evidence.caller.user == "backup"')
  t.like(later(config, reported, { caller: { user: 'alice' } }), {
    change: 'updated',
    finding: { state: 'firing' },
  })
  const allowed = later(config, reported, { caller: { user: 'backup' } })
  t.like(allowed, { change: 'suppressed', finding: { id: reported.id, state: 'suppressed' } })
  t.like(later(config, allowed?.finding as Finding), { change: 'updated', finding: { state: 'suppressed' } })
  const released = later(allowing('evidence.exit_code == 0'), allowed?.finding as Finding, { exit_code: 1 })
  t.like(released, { change: 'released', finding: { id: reported.id, state: 'firing' } })
  t.false('suppressed' in (released?.finding ?? {}))
})

test('an allowed condition neither fires nor resolves', (t) => {
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

test('a changed policy is applied to known conditions', (t) => {
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

test('a condition whose severity changes ends with the old one and starts with the new one', (t) => {
  const rule = (severity: string) => {
    const parsed = configuration.parseValue({
      detectors: { 'monitor-integrity': { rules: { 'source-degraded': { severity } } } },
    })
    if ('config' in parsed) return parsed.config
    throw new Error('refused')
  }
  const inUse = { config: rule('warning') }
  const findings = findingsWith(inUse)
  const reported = findings.from(monitorIntegrity, condition())?.finding
  inUse.config = rule('critical')
  const [ended, started, ...others] = findings.reconsider()
  t.like(ended, { change: 'resolved', finding: { id: reported?.id, severity: 'warning', state: 'resolved' } })
  t.like(started, {
    change: 'new',
    finding: { severity: 'critical', state: 'firing', first_seen: reported?.first_seen },
  })
  t.not(started?.finding.id, reported?.id)
  t.deepEqual(others, [])
  t.deepEqual(findings.firing(), [started?.finding])
  t.deepEqual(findings.reconsider(), [])
  t.like(findings.from(monitorIntegrity, condition()), {
    change: 'updated',
    finding: { severity: 'critical' },
  })
})

test('a restarted detector must confirm its conditions', (t) => {
  const findings = findingsWith()
  findings.from(monitorIntegrity, condition())
  findings.from(monitorIntegrity, condition({ subject: ['resources'] }))
  findings.markUnconfirmed('resource-limit-breach')
  t.deepEqual(findings.resolveUnconfirmed(), [])
  findings.markUnconfirmed('monitor-integrity')
  findings.from(monitorIntegrity, condition())
  t.is(findings.resolveUnconfirmed().length, 1)
  t.is(findings.firing().length, 1)
})

test('no finding contains secrets, wherever a detector puts them', (t) => {
  const finding = findingsWith().from(
    execIntoContainer,
    sampleDetection({
      summary: 'alice ran `mysql -uroot -phunter2 shop` in web-1',
      evidence: {
        argv: ['mysql', '-uroot', '-phunter2', 'shop'],
        caller: { argv: ['docker', 'exec', '-e', 'DB_PASSWORD=hunter2', 'web-1', 'env'] },
        environment: { API_TOKEN: 'hunter2' },
        url: 'postgres://app:hunter2@db/shop',
      },
    }),
  )?.finding
  t.notRegex(JSON.stringify(finding), /hunter2/)
  t.is(finding?.summary, 'alice ran `mysql -uroot -p*** shop` in web-1')
})

test('rules can be disabled, or have another severity, in some containers only', (t) => {
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
  const severityIn = (rest = {}) =>
    findings.from(execIntoContainer, sampleDetection({ container: sampleContainer(rest) }))?.finding.severity
  t.is(severityIn({ labels: { team: 'db-1' } }), undefined)
  t.is(severityIn(), 'critical')
  t.is(severityIn({ name: 'other' }), 'info')
})

test('a superseded rule is merged into the finding of a reported event, and otherwise makes its own', (t) => {
  const entered = sampleDetection({ rule: 'untracked-exec', eventKey: 'a1' })
  const rootOfIt = sampleDetection({
    rule: 'root-in-nonroot-container',
    eventKey: 'p1',
    supersedingEventKey: 'a1',
  })
  const entry = findingsWith().from(execIntoContainer, entered)?.finding as Finding
  const findings = (known: Finding[], config = {}) =>
    findingsWith(
      configuration.schema.parse(config),
      [],
      known.map((finding) => ({ eventKey: 'a1', finding })),
    )
  const firedBy = (by: ReturnType<typeof findings>) => {
    const publication = by.from(unexpectedRootProcess, rootOfIt)
    return publication && [publication.change, publication.finding.rule, publication.finding.evidence['also']]
  }
  const itself = ['new', 'root-in-nonroot-container', undefined]
  t.deepEqual(firedBy(findings([entry])), ['updated', 'untracked-exec', ['root-in-nonroot-container']])
  const withAnother = findings([entry]).from(unexpectedRootProcess, { ...rootOfIt, also: ['setuid-program'] })
  t.deepEqual(withAnother?.finding.evidence['also'], ['root-in-nonroot-container', 'setuid-program'])
  const undeclared = { ...rootOfIt, rule: 'privilege-escalation' }
  t.is(findings([entry]).from(unexpectedRootProcess, undeclared)?.change, 'new')
  const withBoth = { ...entry, evidence: { also: ['root-in-nonroot-container'] } }
  t.is(firedBy(findings([withBoth])), null)
  t.deepEqual(firedBy(findings([])), itself)
  t.deepEqual(firedBy(findings([{ ...entry, state: 'suppressed' }])), itself)
  t.deepEqual(firedBy(findings([{ ...entry, severity: 'info' }])), itself)
  const off = { detectors: { 'unexpected-root-process': { enabled: false } } }
  t.is(firedBy(findings([entry], off)), null)

  // Folded into an earlier finding or throttled, so it is not in the store.
  const folding = findings([])
  folding.from(execIntoContainer, entered)
  t.is(firedBy(folding), null)
  const allowed = findings([], { policy: { allow: [{ reason: 'known', when: 'rule == "untracked-exec"' }] } })
  t.like(allowed.from(execIntoContainer, entered), { finding: { state: 'suppressed' } })
  t.deepEqual(firedBy(allowed), itself)
})
