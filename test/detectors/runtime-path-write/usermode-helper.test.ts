import test from 'ava'
import type { HelperPlace } from '../../../agent/model/observation.ts'
import { helperDetection } from '../../../detectors/runtime-path-write/usermode-helper.ts'
import { sampleContainer, sampleProcess } from '../../support/samples.ts'

test('a helper of the kernel is told with its path, where that lies and what it was given', (t) => {
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
    ['root', true, 'out of the files of web-1'],
    ['layer', true, 'out of the layer of web-1'],
    ['layer', false, 'out of a layer of an image or of an ended container'],
    ['volume', true, 'out of a folder that web-1 can write'],
    ['process', true, 'through /proc, out of what a process of web-1 sees'],
  ]
  for (const [via, isKnown, words] of rows) {
    const container = isKnown ? sampleContainer() : null
    t.like(
      helperDetection({ kind: 'usermode-helper', time: 5, process, container, path: '/proc/77/root/h', via }),
      {
        rule: 'usermode-helper-from-container',
        summary: `the kernel ran /proc/77/root/h as root of the host ${words}`,
        subject: ['/proc/77/root/h'],
        act: '9:8',
        evidence: { path: '/proc/77/root/h', found_by: via, program: '/bin/dash', pid: 9, parent_pid: 2 },
      },
    )
  }
})
