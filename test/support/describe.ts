import type { Describe } from '../../exporters/receiver.ts'

/** Techniques and runbooks for tests of exporters. */
export const describeRules: Describe = {
  techniqueOf: (rule) => (rule === 'interactive-shell' ? 'T1609' : ''),
  runbookUrl: (alertName) => `https://wiki.test/runbooks/${alertName}`,
}
