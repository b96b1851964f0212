import test from 'ava'
import { assembler, type Assembler, frame, r0, r1, r2, r3, r6, r9 } from '../../agent/ebpf/assembler.ts'

// As shown by clang and bpftool: opcode, registers (source above destination), offset, immediate.
const encodings: [name: string, write: (a: Assembler) => void, hex: string][] = [
  ['r1 = r6', (a) => a.move(r1, r6), 'bf 61 0000 00000000'],
  ['r0 = -1', (a) => a.move(r0, -1), 'b7 00 0000 ffffffff'],
  ['r2 += r3', (a) => a.add(r2, r3), '0f 32 0000 00000000'],
  ['r2 += 8', (a) => a.add(r2, 8), '07 02 0000 08000000'],
  ['r2 -= r3', (a) => a.subtract(r2, r3), '1f 32 0000 00000000'],
  ['r1 *= 16', (a) => a.multiply(r1, 16), '27 01 0000 10000000'],
  ['r9 &= 0x1fff', (a) => a.and(r9, 0x1fff), '57 09 0000 ff1f0000'],
  ['r1 |= 4', (a) => a.or(r1, 4), '47 01 0000 04000000'],
  ['r1 = *(u8 *)(r2 + 3)', (a) => a.load(1, r1, r2, 3), '71 21 0300 00000000'],
  ['r1 = *(u32 *)(r2 + 0)', (a) => a.load(4, r1, r2, 0), '61 21 0000 00000000'],
  ['r1 = *(u64 *)(r10 - 8)', (a) => a.load(8, r1, frame, -8), '79 a1 f8ff 00000000'],
  ['*(u64 *)(r10 - 16) = r6', (a) => a.store(8, frame, -16, r6), '7b 6a f0ff 00000000'],
  ['*(u32 *)(r1 + 4) = 7', (a) => a.store(4, r1, 4, 7), '62 01 0400 07000000'],
  ['lock *(u64 *)(r1 + 8) += r2', (a) => a.atomicAdd(r1, 8, r2), 'db 21 0800 00000000'],
  ['call 113', (a) => a.call(113), '85 00 0000 71000000'],
  ['exit', (a) => a.exit(), '95 00 0000 00000000'],
  ['r1 = map fd 5', (a) => a.loadMap(r1, 5), '18 11 0000 05000000 00 00 0000 00000000'],
  ['r1 = map value fd 5 + 24', (a) => a.loadMapValue(r1, 5, 24), '18 21 0000 05000000 00 00 0000 18000000'],
]

for (const [name, write, hex] of encodings) {
  test(`${name} is encoded as the kernel expects it`, (t) => {
    const assembly = assembler()
    write(assembly)
    t.is(assembly.assemble().toString('hex'), hex.replaceAll(' ', ''))
  })
}

test('jump offsets count from the next instruction, forwards and backwards', (t) => {
  const a = assembler()
  a.label('back')
  a.jumpIf(r1, '==', 0, 'end')
  a.jumpIf(r1, 'signed <=', r2, 'back')
  a.jump('back')
  a.label('end')
  a.exit()
  t.is(
    a.assemble().toString('hex').match(/.{16}/g)?.join(' '),
    '1501020000000000 dd21feff00000000 0500fdff00000000 9500000000000000',
  )
})

test('an undefined or duplicate label is an error', (t) => {
  const a = assembler()
  a.jump('nowhere')
  t.throws(() => a.assemble(), { message: /nowhere/ })
  a.label('once')
  t.throws(() => a.label('once'), { message: /duplicate label once/ })
})
