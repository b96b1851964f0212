import { configuration } from '../agent/daemon/configuration.ts'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parse } from 'yaml'
import { run } from './support/processes.ts'
import { compose } from './support/stack.ts'

const root = join(import.meta.dirname, '..')
const services = Object.entries(compose.services)
const provisioned = (path: string) =>
  parse(readFileSync(join(root, 'exporters/grafana/provisioning', path), 'utf8')) as {
    datasources: { type: string; url: string; jsonData: { timeInterval?: string } }[]
    providers: { options: { path: string } }[]
  }

test('the stack is tidewatch, Prometheus, Alertmanager and Grafana, with pinned versions', (t) => {
  t.deepEqual(Object.keys(compose.services), ['tidewatch', 'prometheus', 'alertmanager', 'grafana'])
  for (const [name, { image }] of services) {
    t.regex(image, name === 'tidewatch' ? /^tidewatch:local$/ : /^[a-z]+\/[a-z]+:v?\d+\.\d+\.\d+$/, name)
  }
})

test('mounted files of the repository exist and are read-only', (t) => {
  const mounts = services.flatMap(([, { volumes }]) => volumes.map((volume) => volume.split(':')))
  const files = mounts.filter(([from]) => from?.startsWith('./'))
  t.is(files.length, 6)
  for (const [from = '', , mode] of files) {
    t.true(existsSync(join(root, from)), from)
    t.is(mode, 'ro', from)
  }
  for (const [from = ''] of mounts) t.true(/^[./]/.test(from) || from in compose.volumes, from)
})

test('no service of the stack is reachable from other hosts', (t) => {
  for (const [name, { ports }] of services) {
    t.true(ports.length > 0, name)
    for (const port of ports) t.regex(port, /^127\.0\.0\.1:/, name)
  }
})

test('the configuration files of the stack are valid', async (t) => {
  t.true('config' in configuration.parse(compose.configs.tidewatch.content))
  t.regex(
    await run('promtool', 'check', 'config', join(root, 'exporters/prometheus/prometheus.yml')),
    /SUCCESS/,
  )
  t.regex(
    await run('amtool', 'check-config', join(root, 'exporters/alertmanager/alertmanager.yml')),
    /SUCCESS/,
  )
})

test('the data sources and dashboards provisioned for Grafana match the stack', (t) => {
  const { datasources } = provisioned('datasources/tidewatch.yml')
  t.deepEqual(
    datasources.map(({ type, url }) => [type, url]),
    [
      ['prometheus', 'http://prometheus:9090'],
      ['alertmanager', 'http://alertmanager:9093'],
    ],
  )
  const { global } = parse(readFileSync(join(root, 'exporters/prometheus/prometheus.yml'), 'utf8')) as {
    global: { scrape_interval: string }
  }
  t.is(datasources[0]?.jsonData.timeInterval, global.scrape_interval)
  const path = provisioned('dashboards/tidewatch.yml').providers[0]?.options.path
  t.true(compose.services['grafana']?.volumes.includes(`./exporters/grafana/dashboards:${path}:ro`))
})
