import type { Config } from '../agent/config/schema.ts'
import { alertmanagerReceiver } from './alertmanager/receiver.ts'
import type { Receiver } from './receiver.ts'
import { webhookReceiver } from './webhook/receiver.ts'

/** Everybody whom the configuration names; those whose names are the same are numbered, for the name is their queue. */
export function receiversOf({
  alertmanagers,
  webhooks,
  runbook_base_url,
}: Pick<Config, 'alertmanagers' | 'webhooks' | 'runbook_base_url'>): Receiver[] {
  const receivers = [
    ...alertmanagers.map((one) => alertmanagerReceiver(one, runbook_base_url)),
    ...webhooks.map(webhookReceiver),
  ]
  return receivers.map((receiver, index) => {
    const earlier = receivers.slice(0, index).filter(({ name }) => name === receiver.name).length
    return earlier === 0 ? receiver : { ...receiver, name: `${receiver.name}#${earlier + 1}` }
  })
}
