import { z } from 'zod'
import { detectors } from '../../detectors/index.ts'
import { logFormats } from '../log.ts'
import type { Detector } from '../model/detector.ts'
import { defaultRunbookBase } from '../../exporters/runbooks.ts'
import { severities } from '../model/finding.ts'
import { hasOneAuthentication, httpClientShape } from './http-client.ts'
import type { Container } from '../model/container.ts'
import { type Override, overridesSchema, sectionFor } from './overrides.ts'
import { policySchema } from './policy-schema.ts'
import { duration, size } from './units.ts'

const severity = z.enum(severities)

/** Port 15736 is where Prometheus scrapes; loopback, because findings are nobody else's business. */
export const defaultListenAddress = '127.0.0.1:15736'

const listenAddress = z
  .string()
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]*):\d{1,5}$/, {
    error: 'expected HOST:PORT, :PORT or [IPv6]:PORT',
    abort: true,
  })
  .refine(
    (address) => Number(address.slice(address.lastIndexOf(':') + 1)) <= 65_535,
    'the port is above 65535',
  )

const receiverUrl = z
  .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL', abort: true })
  .refine((url) => new URL(url).username === '', 'credentials do not belong in the URL')
const minSeverity = severity.default('warning').describe('Findings below it are not sent.')
const oneAuthentication = 'basic_auth and authorization exclude each other'

const alertmanager = z
  .strictObject({
    url: receiverUrl.describe('Base URL of one Alertmanager instance; name every instance of a cluster.'),
    min_severity: minSeverity,
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

const webhook = z
  .strictObject({
    url: receiverUrl.describe('Where each finding is posted to as JSON.'),
    format: z
      .enum(['tidewatch', 'falco'])
      .default('tidewatch')
      .describe('tidewatch: the finding itself; falco: as Falco writes alerts, for falcosidekick.'),
    min_severity: minSeverity,
    secret_file: z
      .string()
      .min(1)
      .optional()
      .describe('File whose content signs each request (HMAC-SHA256, X-Tidewatch-Signature).'),
    ...httpClientShape,
  })
  .refine(hasOneAuthentication, oneAuthentication)

/** The section of each detector, by its name. */
export const sectionSchemas: Readonly<Record<string, z.ZodObject>> = Object.fromEntries(
  detectors.map((detector) => [detector.name, detectorSchema(detector)]),
)

/** The configuration file: one schema for type, default, validation and documentation. */
export const configSchema = z.strictObject({
  docker: z
    .strictObject({
      host: z
        .string()
        .optional()
        .describe(
          'Where the engine listens: unix:///var/run/docker.sock or tcp://host:port; DOCKER_HOST by default.',
        ),
      tls: z
        .strictObject({
          ca_file: z.string().describe('PEM file of the authority that signed the engine’s certificate.'),
          cert_file: z.string().describe('PEM file of the client certificate.'),
          key_file: z.string().describe('PEM file of its key.'),
        })
        .optional()
        .describe('Certificates for a tcp engine; DOCKER_CERT_PATH by default.'),
    })
    .prefault({}),
  state_directory: z
    .string()
    .min(1)
    .optional()
    .describe('Where findings and the cursor are kept; see the README for the default.'),
  host_name: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .describe('The host label; the kernel’s host name by default.'),
  web: z
    .strictObject({
      listen_addresses: z
        .array(listenAddress)
        .min(1)
        .default([defaultListenAddress])
        .describe('Where metrics and the status page are served.'),
      config_file: z
        .string()
        .min(1)
        .optional()
        .describe(
          'TLS, users and headers of the endpoint, as Prometheus’ exporter-toolkit has them (web.yml).',
        ),
      max_series: z
        .int()
        .min(100)
        .max(1_000_000)
        .default(10_000)
        .describe(
          'How many series about containers /metrics may hold; what is beyond is summed as container="_other".',
        ),
    })
    .prefault({}),
  log: z
    .strictObject({
      level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('The least that is logged.'),
      format: z
        .enum(logFormats)
        .optional()
        .describe(
          'json, text for people, journald or syslog; by default text on a terminal, journald where that is standard output, else json.',
        ),
    })
    .prefault({}),
  sources: z
    .strictObject({
      resources: z
        .strictObject({
          interval: duration('5s', { min: '1s', max: '5m' }).describe(
            'How often every running container is sampled.',
          ),
          near_interval: duration('1s', { min: '200ms', max: '5m' }).describe(
            'How often one is sampled that is near a limit; no more seldom than the others.',
          ),
          near_ratio: z
            .number()
            .gt(0)
            .max(1)
            .default(0.8)
            .describe('Share of its memory or pids limit, 0 to 1, from which a container is near it.'),
        })
        .prefault({}),
      processes: z
        .strictObject({
          mode: z
            .enum(['auto', 'ebpf', 'connector', 'procfs'])
            .default('auto')
            .describe('How processes are seen; auto takes the best that works here.'),
          interval: duration('1s', { min: '200ms', max: '1m' }).describe(
            'How often /proc is read in mode procfs.',
          ),
        })
        .prefault({}),
      runtime_files: z
        .strictObject({
          paths: z
            .array(z.string().startsWith('/', 'expected an absolute path'))
            .default([])
            .describe('Files to watch beside the runtime binaries that are found.'),
          accepted: z
            .array(z.string().regex(/^[0-9a-f]{64}$/i, 'expected a SHA-256 digest: 64 hexadecimal digits'))
            .transform((digests) => digests.map((digest) => digest.toLowerCase()))
            .default([])
            .describe(
              'SHA-256 digests of runtime binaries that no package brings, such as those of an archive.',
            ),
          interval: duration('1m', { min: '1s', max: '1d' }).describe(
            'How often files are searched for and looked at without cause; once an hour they are read whole.',
          ),
        })
        .prefault({}),
      container_masks: z
        .strictObject({
          interval: duration('5m', { min: '1s', max: '1d' }).describe(
            'How often a running container’s masks are looked at, after the two looks at its start.',
          ),
        })
        .prefault({}),
    })
    .prefault({}),
  detectors: z
    .strictObject(
      Object.fromEntries(
        Object.entries(sectionSchemas).map(([name, section]) => [name, section.prefault({})]),
      ),
    )
    .prefault({}),
  policy: policySchema,
  alertmanagers: z
    .array(alertmanager)
    .refine((all) => new Set(all.map(({ url }) => url)).size === all.length, 'an instance is named twice')
    .default([])
    .describe('Every Alertmanager instance that alerts go to.'),
  webhooks: z
    .array(webhook)
    .refine((all) => new Set(all.map(({ url }) => url)).size === all.length, 'an URL is named twice')
    .default([])
    .describe('Further receivers: each finding is one POST.'),
  runbook_base_url: z
    .url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL' })
    .default(defaultRunbookBase)
    .describe('Where the pages of docs/runbooks are published; an alert links to the one of its name.'),
  findings: z
    .strictObject({
      retention: duration('30d', { min: '1h' }).describe('How long findings are kept.'),
      max_size: size('256MiB', { min: '1MiB' }).describe('How much they may take; the oldest go first.'),
    })
    .prefault({}),
})

export type Config = z.output<typeof configSchema>

export type RuleConfig = { enabled: boolean; severity: (typeof severities)[number] }

/** What every detector's section holds, whatever its own settings are. */
export type DetectorConfig = { enabled: boolean; rules: Readonly<Record<string, RuleConfig>> }

/** A detector's whole section; the settings that are not named here are its own. */
export type DetectorSection = DetectorConfig &
  Record<string, unknown> & { overrides: Override<DetectorSection>[] }

/** A detector's section: on or off, each rule's switch and severity, and the detector's own settings. */
function detectorSchema(detector: Detector) {
  const rules = Object.entries(detector.rules).map(([name, rule]) => [
    name,
    z
      .strictObject({
        enabled: z
          .boolean()
          .default(rule.enabledByDefault ?? true)
          .describe('Whether the rule speaks.'),
        severity: severity.default(rule.severity).describe('How bad it is here.'),
      })
      .prefault({})
      .describe(rule.summary),
  ])
  const common = {
    enabled: z.boolean().default(true).describe('Whether the detector runs.'),
    rules: z.strictObject(Object.fromEntries(rules)).prefault({}),
  }
  const { perContainer = [], settings } = detector
  const differing = Object.fromEntries(perContainer.map((key) => [key, settings.shape[key]]))
  return z.strictObject({
    ...common,
    ...settings.shape,
    overrides: overridesSchema(z.strictObject({ ...common, ...differing })),
  })
}

/** The section of one detector, typed as far as all detectors share it. */
export function detectorConfig({ detectors: all }: Pick<Config, 'detectors'>, name: string): DetectorSection {
  const section = all[name]
  if (section === undefined) throw new Error(`no configuration section for the detector ${name}`)
  return section as DetectorSection
}

/** The section that holds for a container, or the detector's own for the host. */
export function detectorConfigFor(
  config: Config,
  name: string,
  container: Container | null,
): DetectorSection {
  return sectionFor(detectorConfig(config, name), container)
}

/** Whether a detector has to run: a container may have it on where it is off for the rest. */
export function isRunning({ enabled, overrides }: DetectorSection): boolean {
  return enabled || overrides.some(({ section }) => section.enabled)
}
