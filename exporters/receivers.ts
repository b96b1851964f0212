import type { Config } from '../agent/config/schema.ts'
import { alertmanagerReceiver } from './alertmanager/receiver.ts'
import type { Receiver } from './receiver.ts'
import { webhookReceiver } from './webhook/receiver.ts'

/** All configured receivers. Duplicate names get a number, because each name identifies a queue. */
export function receiversOf({
  alertmanagers,
  webhooks,
}: Pick<Config, 'alertmanagers' | 'webhooks'>): Receiver[] {
  const receivers = [...alertmanagers.map(alertmanagerReceiver), ...webhooks.map(webhookReceiver)]
  return receivers.map((receiver, index) => {
    const earlier = receivers.slice(0, index).filter(({ name }) => name === receiver.name).length
    return earlier === 0 ? receiver : { ...receiver, name: `${receiver.name}#${earlier + 1}` }
  })
}
