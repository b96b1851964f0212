import { statSync } from 'node:fs'
import test from 'ava'
import { deviceNumber, deviceNumberOfKernel } from '../../agent/linux/device-number.ts'

test('a device number is encoded as by stat(2)', (t) => {
  // Linux fixes the numbers of /dev/null (Documentation/admin-guide/devices.txt).
  t.is(deviceNumber(1, 3), statSync('/dev/null').rdev)
  t.is(deviceNumber(259, 300), 0x11_032c)
})

test('the kernel’s internal encoding is converted', (t) => {
  t.is(deviceNumberOfKernel((1 << 20) | 3), deviceNumber(1, 3))
  t.is(deviceNumberOfKernel((259 << 20) | 300), deviceNumber(259, 300))
})
