import test from 'ava'
import {
  capabilityNames,
  configuredCapabilities,
} from '../../../detectors/unexpected-root-process/capabilities.ts'

const none = { privileged: false, capabilitiesAdded: [], capabilitiesDropped: [] }

test('the configured capabilities are Docker’s defaults, plus the added and minus the dropped ones', (t) => {
  // CapEff of a container's first process, as Docker 20.10 starts it without options.
  t.is(configuredCapabilities(none), 0xa80425fbn)
  const table: [object, bigint][] = [
    [{ capabilitiesAdded: ['NET_ADMIN'] }, 0xa80425fbn | (1n << 12n)],
    [{ capabilitiesAdded: ['CAP_net_admin'] }, 0xa80425fbn | (1n << 12n)],
    [{ capabilitiesDropped: ['CHOWN'] }, 0xa80425fan],
    [{ capabilitiesDropped: ['ALL'] }, 0n],
    [{ capabilitiesDropped: ['ALL'], capabilitiesAdded: ['KILL'] }, 1n << 5n],
    [{ capabilitiesAdded: ['NONSENSE'] }, 0xa80425fbn],
  ]
  for (const [given, expected] of table) t.is(configuredCapabilities({ ...none, ...given }), expected)
  const allButChown = configuredCapabilities({
    ...none,
    capabilitiesAdded: ['ALL'],
    capabilitiesDropped: ['CHOWN'],
  })
  t.is(allButChown & 0x1ff_ffff_ffffn, 0x1ff_ffff_fffen)
  t.is(configuredCapabilities({ ...none, privileged: true }) & 0x1ff_ffff_ffffn, 0x1ff_ffff_ffffn)
})

test('capabilities are named as in Docker’s options', (t) => {
  t.deepEqual(capabilityNames((1n << 0n) | (1n << 21n) | (1n << 40n)), [
    'CHOWN',
    'SYS_ADMIN',
    'CHECKPOINT_RESTORE',
  ])
  t.deepEqual(capabilityNames(0n), [])
})
