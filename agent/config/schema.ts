import { z } from 'zod'
import { logFormats } from '../log/log.ts'
import type { Container } from '../model/container.ts'
import { type DetectorSection, detectorsSchemaOf, type SectionSchemas } from './detectors-schema.ts'
import { sectionFor } from './overrides.ts'
import { type PolicyLanguage, policySchemaOf } from './policy-schema.ts'
import { alertmanagersSchema, webhooksSchema } from './receivers-schema.ts'
import { sourcesSchema } from './sources-schema.ts'
import { duration, size } from './units.ts'

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

/** Where the pages of docs/runbooks are read when nothing else is configured: the project's own repository. */
export const defaultRunbookBase = 'https://github.com/tidewatch/tidewatch/blob/main/docs/runbooks'

/** The configuration file: one schema for type, default, validation and documentation. */
export function configSchemaOf(sections: SectionSchemas, language: PolicyLanguage) {
  return z.strictObject({
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
        level: z
          .enum(['debug', 'info', 'warn', 'error'])
          .default('info')
          .describe('The least that is logged.'),
        format: z
          .enum(logFormats)
          .optional()
          .describe(
            'json, text for people, journald or syslog; by default text on a terminal, journald where that is standard output, else json.',
          ),
      })
      .prefault({}),
    sources: sourcesSchema,
    detectors: detectorsSchemaOf(sections),
    policy: policySchemaOf(language),
    alertmanagers: alertmanagersSchema,
    webhooks: webhooksSchema,
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
}

export type ConfigSchema = ReturnType<typeof configSchemaOf>

export type Config = z.output<ConfigSchema>

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
