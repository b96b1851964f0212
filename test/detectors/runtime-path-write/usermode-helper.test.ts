import test from 'ava'
import type { HelperPlace } from '../../../agent/model/observation.ts'
import { helperDetection } from '../../../detectors/runtime-path-write/usermode-helper.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'

test('a usermode helper is reported with its path, location and arguments', (t) => {
  const { process } = sampleProcess({
    process: {
      pid: 9,
      startTicks: 8,
      parentPid: 2,
      uid: 0,
      exe: '/bin/dash',
      argv: ['/bin/sh', '/proc/77/root/h', '11'],
    },
  })
  const rows: [HelperPlace, boolean, string][] = [
    ['root', true, 'from the files of web-1'],
    ['layer', true, 'from the layer of web-1'],
    ['layer', false, 'from the layer of an image or of a stopped container'],
    ['volume', true, 'from a directory that web-1 can write to'],
    ['process', true, 'through /proc, from the files visible to a process of web-1'],
  ]
  for (const [via, isKnown, location] of rows) {
    const container = isKnown ? sampleContainer() : null
    t.like(
      helperDetection({ kind: 'usermode-helper', time: 5, process, container, path: '/proc/77/root/h', via }),
      {
        rule: 'usermode-helper-from-container',
        summary: `the kernel ran \`/proc/77/root/h\` as root on the host, ${location}`,
        subject: ['/proc/77/root/h', via],
        eventKey: '9:8',
        evidence: { path: '/proc/77/root/h', found_by: via, program: '/bin/dash', pid: 9, parent_pid: 2 },
      },
    )
  }
})
