import fc from 'fast-check'
import {
  containerOfEvent,
  containerOfInspect,
  containerOfListing,
} from '../../agent/sources/docker/inventory/identity.ts'
import { parseEvent } from '../../agent/sources/docker/events/event.ts'
import { execOfInspect } from '../../agent/sources/docker/execs/exec-inspect.ts'
import { createLineSplitter } from '../../agent/sources/docker/events/lines.ts'
import { parseRequestLine } from '../../agent/sources/docker/api-requests/request-line.ts'
import { parseFanotifyEvents } from '../../agent/linux/fanotify-events.ts'
import { parseProcEvent } from '../../agent/linux/proc-events.ts'
import { journalEntry } from '../../agent/log/journald.ts'
import { syslogLine } from '../../agent/log/syslog.ts'
import type { Finding, Json } from '../../agent/model/finding.ts'
import { parseCgroupFile } from '../../agent/sources/processes/attribution/cgroup.ts'
import { parseArgv, parseStat, parseStatus } from '../../agent/sources/processes/table/procfs-process.ts'
import { locationOf } from '../../agent/sources/processes/credentials/executable-origin.ts'
import { mapUid, parseUidMap } from '../../agent/linux/uid-map.ts'
import {
  containerCgroup,
  parseCgroupMounts,
  parseMemberships,
} from '../../agent/sources/resources/cgroup-mounts.ts'
import { blockIoV1, cpuV1, memoryV1 } from '../../agent/sources/resources/cgroup-v1.ts'
import { blockIoV2, cpuV2, memoryV2, pidsOfCgroup } from '../../agent/sources/resources/cgroup-v2.ts'
import { usageOfStats } from '../../agent/sources/resources/docker-stats.ts'
import { stall } from '../../agent/sources/resources/pressure.ts'
import { toAlert } from '../../exporters/alertmanager/alert.ts'
import { findingLine } from '../../exporters/log.ts'
import { renderStatusPage } from '../../exporters/web/status-page.ts'
import { toFalco } from '../../exporters/webhook/falco.ts'
import { sampleStatus } from '../exporters/web/sample-status.ts'
import { sampleFinding } from '../support/samples.ts'
import { describeRules } from '../support/describe.ts'

// Text that is known to cause trouble: newlines, terminal sequences, quotes of every format, directional marks.
const nasty = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 40 }) },
  fc.constantFrom(
    '\n',
    '\r\nX-Injected: 1',
    '\u001b[2J',
    '</td><script>',
    '"}',
    "' OR 1=1 --",
    '\u202e',
    '\0',
    '\ud800',
    '{{ .x }}',
    '%s%n',
    '$(id)',
    '../../..',
    'a'.repeat(5_000),
  ),
)
const id = 'a'.repeat(64)

/** Arbitrary JSON, and JSON with the engine's property names but unexpected values. */
const keys = fc.constantFrom(
  ...`Id ID Name Names Image ImageID Labels State Status Config HostConfig Mounts ExecIDs RestartCount User Tty
  Healthcheck Test Interval Shell Memory NanoCpus CpuQuota PidsLimit Pid StartedAt Privileged CapAdd SecurityOpt Type
  Action Actor Attributes timeNano time ProcessConfig entrypoint arguments tty privileged Running ExitCode CanRemove
  memory_stats usage limit stats cpu_stats cpu_usage total_usage throttling_data pids_stats current blkio_stats
  io_service_bytes_recursive __proto__ constructor toString`.split(/\s+/),
)
const { answer } = fc.letrec<{ answer: unknown }>((tie) => ({
  answer: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(nasty, fc.double(), fc.bigInt().map(String), fc.boolean(), fc.constant(null), fc.constant(id)),
    fc.dictionary(keys, tie('answer'), { maxKeys: 8 }),
    fc.array(tie('answer'), { maxLength: 4 }),
  ),
}))
const answers = answer.map((value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {},
) as fc.Arbitrary<Record<string, unknown>>

/** A kernel file: unchanged, truncated, duplicated, and with other words in it. */
const numbers = fc.constantFrom(
  '0',
  '1',
  'max',
  '-1',
  '18446744073709551615',
  '99999999999999999999999',
  'NaN',
  '1e9',
  '',
  ' ',
)
const kernelText = fc
  .array(
    fc.oneof(
      numbers,
      nasty,
      fc.constantFrom(
        '\n',
        ' ',
        ':',
        '/',
        `/docker/${id}`,
        `docker-${id}.scope`,
        'usage_usec',
        'nr_periods',
        'inactive_file',
        'total_inactive_file',
        'oom_kill',
        'some avg10=0.00 avg60=0.00 avg300=0.00 total=',
        'rbytes=',
        'Uid:\t0\t0\t0\t0\n',
        'CapEff:\t',
        '(sh) S 1 1 1',
        ' - cgroup cgroup rw,memory',
        '0 0 4294967295',
      ),
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(''))

const findings: fc.Arbitrary<Finding> = fc
  .record({
    summary: nasty,
    name: nasty,
    image: nasty,
    evidence: fc.dictionary(nasty, fc.jsonValue() as fc.Arbitrary<Json>, { maxKeys: 6 }),
  })
  .map(({ summary, name, image, evidence }) =>
    sampleFinding({
      summary,
      evidence,
      container: { id, name, image, image_id: '', compose_project: '', compose_service: '' },
    }),
  )

/** A truncated kernel file must be a read error, and never give a wrong number. */
function readers(text: string): void {
  const read = () => text
  for (const reader of [
    memoryV1,
    blockIoV1,
    memoryV2,
    cpuV2,
    pidsOfCgroup,
    blockIoV2,
    (one: () => string) => stall(one, 'memory'),
    (one: () => string) => cpuV1(one, one),
  ]) {
    let value: unknown
    try {
      value = reader(read)
    } catch (error) {
      if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error
      continue
    }
    checkNumbers(value)
  }
}

function checkNumbers(value: unknown): void {
  if (typeof value === 'number' && !(Number.isFinite(value) && value >= 0))
    throw new Error(`not a quantity: ${value}`)
  if (typeof value === 'object' && value !== null) Object.values(value).forEach(checkNumbers)
}

/** Throws unless all values are strings. */
function checkTexts(...values: unknown[]): void {
  for (const value of values) if (typeof value !== 'string') throw new Error(`not a string: ${String(value)}`)
}

const control = /[\p{Cc}\p{Zl}\p{Zp}]/u

function checkLine(line: string): void {
  if (control.test(line))
    throw new Error(`contains a line break or terminal sequence: ${JSON.stringify(line)}`)
}

/** A property of the handling of untrusted input; `runs` is the number of cases in a test, the benchmark uses more. */
export type Property = { title: string; runs: number; property: fc.IRawProperty<unknown> }

/** The properties of all input and output that others can influence. */
export const properties = [
  {
    title: 'lines are read correctly, however the chunks are split',
    runs: 300,
    property: fc.property(
      fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 12 }),
      fc.infiniteStream(fc.nat(20)),
      (chunks, cuts) => {
        const bytes = Buffer.concat(chunks)
        const lines: string[] = []
        const split = createLineSplitter({ onLine: (line) => lines.push(line), onTooLong: () => undefined })
        for (let at = 0; at < bytes.length;) {
          const length = 1 + Number(cuts.next().value)
          split(bytes.subarray(at, at + length))
          at += length
        }
        const whole = bytes
          .subarray(0, bytes.lastIndexOf(10) + 1)
          .toString('latin1')
          .split('\n')
          .filter((line) => line !== '')
        const expected = whole.map((line) => Buffer.from(line, 'latin1').toString())
        if (JSON.stringify(lines) !== JSON.stringify(expected))
          throw new Error(JSON.stringify([lines, expected]))
      },
    ),
  },
  {
    title: 'an event of a lying engine is rejected or a valid event',
    runs: 2_000,
    property: fc.property(
      fc.oneof(
        answers.map((value) => JSON.stringify(value)),
        nasty,
        kernelText,
      ),
      (line) => {
        const event = parseEvent(line)
        if (event === null) return
        const { name, image } = containerOfEvent(event)
        checkTexts(
          event.type,
          event.action,
          event.detail,
          event.actorId,
          name,
          image,
          ...Object.values(event.attributes),
        )
      },
    ),
  },
  {
    title: 'an inspect response of a lying engine is a container with the right types',
    runs: 2_000,
    property: fc.property(answers, (value) => {
      const container = containerOfInspect(value)
      checkTexts(
        container.id,
        container.name,
        container.image,
        container.state,
        ...Object.values(container.labels),
      )
      checkTexts(containerOfListing(value).name)
      const { details } = container
      if (details === null) return
      checkTexts(details.user, ...details.capabilitiesAdded, ...details.mounts.map(({ source }) => source))
      checkNumbers([details.startedAt, details.limits])
      const exec = execOfInspect(value)
      if (exec !== null) checkTexts(exec.settings.user, ...exec.argv)
    }),
  },
  {
    title: 'statistics of a lying engine are ignored or valid quantities',
    runs: 1_000,
    property: fc.property(answers, (value) => {
      let usage: unknown
      try {
        usage = usageOfStats(value, undefined)
      } catch (error) {
        if (error instanceof TypeError || error instanceof RangeError) throw error
      }
      if (usage !== undefined) checkNumbers(usage)
    }),
  },
  {
    title: 'a cgroup’s files give valid quantities or an error',
    runs: 2_000,
    property: fc.property(kernelText, readers),
  },
  {
    title: 'parsing /proc never throws, whatever a process put there',
    runs: 2_000,
    property: fc.property(
      kernelText,
      fc.uint8Array({ maxLength: 400 }),
      fc.nat(4_294_967_295),
      (text, bytes, uid) => {
        parseStat(text)
        parseStatus(text)
        checkTexts(...parseArgv(Buffer.from(bytes)).argv)
        checkNumbers(mapUid(uid, parseUidMap(text)))
        checkTexts(parseCgroupFile(text).path)
        for (const path of parseMemberships(text).values()) containerCgroup(path, id)
        parseCgroupMounts(text, '/sys/fs/cgroup')
        locationOf(text, '/bin/sh', 1)
      },
    ),
  },
  {
    title: 'invalid records of the kernel are rejected',
    runs: 2_000,
    property: fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      parseFanotifyEvents(Buffer.from(bytes))
      parseProcEvent(Buffer.from(bytes))
    }),
  },
  {
    title: 'bytes written to the engine’s socket are parsed as a request or rejected',
    runs: 1_000,
    property: fc.property(
      fc.oneof(
        nasty,
        nasty.map((text) => `POST /v1.41/exec/${text}/start HTTP/1.1`),
      ),
      (text) => {
        parseRequestLine(text)
      },
    ),
  },
  {
    title: 'no text breaks out of its line, label, cell or field',
    runs: 1_000,
    property: fc.property(findings, (finding) => {
      checkLine(findingLine({ ...finding, summary: '' }))
      const entry = { level: 'warn', message: findingLine(finding), finding }
      for (const line of journalEntry(entry).slice(0, -1).split('\n')) {
        checkLine(line)
        if (!/^[A-Z_]+=/.test(line)) throw new Error(`not a field: ${line}`)
      }
      checkLine(syslogLine(entry, { host: 'h', pid: 1, time: new Date(0) }))
      const { annotations } = toAlert(finding, {
        deliveredAt: null,
        now: 0,
        correctionMs: 0,
        describe: describeRules,
      })
      for (const [name, value] of Object.entries(annotations)) {
        if (!/^[a-zA-Z_]\w*$/.test(name)) throw new Error(`not a name: ${name}`)
        if (name.startsWith('evidence_') || name === 'description') checkLine(value)
      }
      checkLine(toFalco(finding, describeRules).output)
    }),
  },
  {
    title: 'no text becomes markup on the page',
    runs: 300,
    property: fc.property(findings, (finding) => {
      const tags = (one: Finding) => pageWith(one).split('<').length
      const x = (text: string) => (text === '' ? '' : 'x')
      const { container, summary } = finding
      // An empty value has no cell.
      const texts = Object.entries(finding.evidence).map(([key, value]) => [key, `${JSON.stringify(value)}!`])
      const evidence = Object.fromEntries(texts) as Record<string, string>
      const harmless = {
        ...finding,
        summary: x(summary),
        evidence: Object.fromEntries(Object.keys(evidence).map((_, n) => [`x${n}`, 'x'])),
        container: container && { ...container, name: x(container.name), image: x(container.image) },
      }
      if (tags({ ...finding, evidence }) !== tags(harmless))
        throw new Error('there is more markup than expected')
    }),
  },
] as unknown as readonly Property[]

function pageWith(finding: Finding): string {
  return renderStatusPage(
    { ...sampleStatus(), host: finding.summary, firing: [finding], latest: [finding] },
    true,
  )
}
