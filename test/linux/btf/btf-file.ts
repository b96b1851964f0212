// The info word of a record: its kind, or'ed with the number of its elements.
export const INT = 1 << 24
export const POINTER = 2 << 24
export const STRUCT = 4 << 24
export const UNION = 5 << 24
export const ENUM = 6 << 24
export const TYPEDEF = 8 << 24
export const FUNCTION_PROTOTYPE = 13 << 24
export const BIT_FIELDS = 2 ** 31

/** The offset of a name in the NUL-separated names of a file. */
export function nameIn(names: string): (text: string) => number {
  return (text) => names.indexOf(`\0${text}\0`) + 1
}

/** A BTF file: header, type records as 32-bit words, and names. */
export function btfFile(types: readonly number[][], names: string): Buffer {
  const words = types.flat()
  const body = Buffer.alloc(words.length * 4)
  for (const [index, word] of words.entries()) body.writeUInt32LE(word, index * 4)
  const header = Buffer.alloc(24)
  header.writeUInt16LE(0xeb9f, 0)
  header.writeUInt8(1, 2)
  for (const [index, field] of [24, 0, body.length, body.length, names.length].entries()) {
    header.writeUInt32LE(field, 4 + index * 4)
  }
  return Buffer.concat([header, body, Buffer.from(names, 'latin1')])
}

/** struct outer { int first; inner_t inner; union { int hidden; }; int bits : 3; }; enum colour { red = 7 }; */
export function sampleFile(): Buffer {
  const names = '\0int\0inner\0second\0inner_t\0outer\0first\0hidden\0colour\0red\0bits\0'
  const name = nameIn(names)
  return btfFile(
    [
      [name('int'), INT, 4, 32],
      [name('inner'), STRUCT | 2, 8, name('first'), 1, 0, name('second'), 1, 32],
      [name('inner_t'), TYPEDEF, 2],
      [0, UNION | 1, 4, name('hidden'), 1, 0],
      // With bit fields the upper byte of an offset is a width.
      [
        ...[name('outer'), BIT_FIELDS + (STRUCT | 4), 32],
        ...[name('first'), 1, 0],
        ...[name('inner'), 3, 64],
        ...[0, 4, 128],
        ...[name('bits'), 1, (3 << 24) | 163],
      ],
      [name('colour'), ENUM | 1, 4, name('red'), 7],
    ],
    names,
  )
}
