import type { Finding } from '../../../agent/model/finding.ts'
import { sampleFinding } from '../../support/samples.ts'
import type { Status } from '../../../exporters/web/status.ts'
import { describeRules } from '../../support/describe.ts'

const hostile = `<script>alert(1)</script>\u202E"'&`

/** The status of a daemon on a host where all names, containers and processes try to break the page. */
export function sampleStatus(): Status {
  return {
    host: '<b>node</b>',
    version: '1.0.0',
    startedAt: 0,
    now: 3_720_000,
    sources: [
      { name: 'docker-events', status: undefined },
      {
        name: 'processes',
        status: {
          kind: 'source-status',
          time: 0,
          source: 'processes',
          up: true,
          mode: 'procfs',
          best: false,
          reason: 'no <BTF>',
        },
      },
    ],
    containersRunning: 1,
    counters: {
      findings: { info: 5, warning: 1_234, critical: 2 },
      events: new Map([['processes', 98_765]]),
      lost: new Map([['processes', 17]]),
      execs: 12,
      healthchecks: 40_000,
    },
    receivers: [{ name: 'alertmanager/<x>', waiting: 3 }],
    storeMode: 'file',
    firing: [
      sampleFinding({
        kind: 'condition',
        rule: 'memory-near-limit',
        summary: 'web-1 uses 95 % of its memory',
      }),
    ],
    latest: [
      sampleFinding({ summary: hostile, evidence: { argv: ['sh', '-c', 'evidence-of-it'], comm: hostile } }),
      sampleFinding({ ...named(`"><img src=x onerror="document.title='owned'">`), severity: 'critical' }),
      sampleFinding({
        ...named('</td></table><iframe srcdoc="x">'),
        severity: 'info',
        state: 'resolved',
        count: 1_234,
        resolved_at: '2026-11-23T18:00:00.000Z',
        resolution: `ended by ${hostile}`,
      }),
      sampleFinding({ ...named(`{{ 7*7 }}\n\u0000\u200B${'x'.repeat(250)}`), summary: 'y'.repeat(900) }),
      sampleFinding({ ...named('‮txt.exe'), rule: '<svg/onload=alert(2)>', container: null }),
    ],
    meaningOf: (rule) => `means ${rule}`,
    ...describeRules,
  }
}

function named(name: string): Pick<Finding, 'container'> {
  const { container } = sampleFinding()
  return { container: container && { ...container, name, image: `${name}:latest` } }
}
