import { z } from 'zod'
import { logFormats } from '../log/log.ts'
import type { Container } from '../model/container.ts'
import { type DetectorSection, detectorsSchemaOf, type SectionSchemas } from './detectors-schema.ts'
import { sectionFor } from './overrides.ts'
import { listenConflict } from './listen-addresses.ts'
import { type PolicyLanguage, policySchemaOf } from './policy-schema.ts'
import { alertmanagersSchema, webhooksSchema } from './receivers-schema.ts'
import { sourcesSchema } from './sources-schema.ts'
import { duration, size } from './units.ts'

/** Prometheus scrapes port 15736. Loopback only, because findings are confidential. */
export const defaultListenAddress = '127.0.0.1:15736'

const listenAddress = z
  .string()
  .regex(/^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]*):\d{1,5}$/, {
    error: 'expected HOST:PORT, :PORT or [IPv6]:PORT',
    abort: true,
  })
  .refine(
    (address) => Number(address.slice(address.lastIndexOf(':') + 1)) <= 65_535,
    'the port must be at most 65535',
  )

const httpUrl = z.url({ protocol: /^https?$/, error: 'expected an http:// or https:// URL' })

/** The configuration file: one schema for types, defaults, validation and documentation. */
export function configSchemaOf(sections: SectionSchemas, language: PolicyLanguage) {
  return z.strictObject({
    docker: z
      .strictObject({
        host: z
          .string()
          .optional()
          .describe(
            'Address of the Docker Engine: unix:///var/run/docker.sock or tcp://host:port; DOCKER_HOST by default.',
          ),
        tls: z
          .strictObject({
            ca_file: z
              .string()
              .describe('PEM file with the CA certificate that signed the engine’s certificate.'),
            cert_file: z.string().describe('PEM file with the client certificate.'),
            key_file: z.string().describe('PEM file with the client’s private key.'),
          })
          .optional()
          .describe('TLS files for a tcp:// engine; DOCKER_CERT_PATH by default.'),
      })
      .prefault({}),
    state_directory: z
      .string()
      .min(1)
      .optional()
      .describe(
        'Directory for findings and other state. Default: systemd’s $STATE_DIRECTORY, /var/lib/tidewatch for root, otherwise tidewatch in $XDG_STATE_HOME or ~/.local/state.',
      ),
    host_name: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('Value of the host label; the kernel’s host name by default.'),
    web: z
      .strictObject({
        listen_addresses: z
          .array(listenAddress)
          .min(1)
          .superRefine((addresses, { addIssue }) => {
            const conflict = listenConflict(addresses)
            if (conflict !== null)
              addIssue({ code: 'custom', path: [conflict.index], message: conflict.message })
          })
          .default([defaultListenAddress])
          .describe(
            'Addresses that serve metrics and the status page. `:PORT` and `[::]:PORT` serve IPv4 too, unless an IPv4 address with that port is also listed.',
          ),
        external_url: httpUrl
          .optional()
          .describe(
            'Address under which users reach the web endpoint, for links in alerts; by default the host name and the port of the first listen address.',
          ),
        config_file: z
          .string()
          .min(1)
          .optional()
          .describe(
            'TLS, users and HTTP headers of the endpoint, in the format of Prometheus’ exporter-toolkit (web.yml).',
          ),
        max_series: z
          .int()
          .min(100)
          .max(1_000_000)
          .default(10_000)
          .describe(
            'Maximum number of container series in /metrics; further ones are summed as container="_other".',
          ),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('Minimum log level.'),
        format: z
          .enum(logFormats)
          .optional()
          .describe(
            'Log format. Default: text on a terminal, journald if standard output is the journal, otherwise json.',
          ),
      })
      .prefault({}),
    sources: sourcesSchema,
    detectors: detectorsSchemaOf(sections),
    policy: policySchemaOf(language),
    alertmanagers: alertmanagersSchema,
    webhooks: webhooksSchema,
    runbook_base_url: httpUrl
      .optional()
      .describe(
        'Address of your own runbook pages; an alert links to ALERT.md below it. Without it, alerts link to the pages that the daemon serves at /runbooks.',
      ),
    findings: z
      .strictObject({
        retention: duration('30d', { min: '1h' }).describe('How long findings are stored.'),
        max_size: size('256MiB', { min: '1MiB' }).describe(
          'Maximum size of the stored findings; the oldest are deleted first.',
        ),
      })
      .prefault({}),
  })
}

export type ConfigSchema = ReturnType<typeof configSchemaOf>

export type Config = z.output<ConfigSchema>

/** The section of one detector, with the type that all detectors share. */
export function detectorConfig({ detectors: all }: Pick<Config, 'detectors'>, name: string): DetectorSection {
  const section = all[name]
  if (section === undefined) throw new Error(`no configuration section for the detector ${name}`)
  return section as DetectorSection
}

/** The section that applies to a container, or the detector's own for the host. */
export function detectorConfigFor(
  config: Config,
  name: string,
  container: Container | null,
): DetectorSection {
  return sectionFor(detectorConfig(config, name), container)
}

/** Whether a detector must run: an override may enable it where it is otherwise disabled. */
export function isRunning({ enabled, overrides }: DetectorSection): boolean {
  return enabled || overrides.some(({ section }) => section.enabled)
}
