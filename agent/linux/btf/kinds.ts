/** Kinds of type records (linux/btf.h), as far as queries distinguish them. */
export const KIND = {
  int: 1,
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
  restrict: 11,
  functionPrototype: 13,
  typeTag: 18,
} as const

/** Kinds that only name or qualify another type, which their record refers to. */
export const modifiers: ReadonlySet<number> = new Set([
  KIND.typedef,
  KIND.volatile,
  KIND.const,
  KIND.restrict,
  KIND.typeTag,
])

/** The bytes that every record starts with: name, info, and a size or the type that is referred to. */
export const headBytes = 12

/** How many bytes follow the head of a record, by kind; `each` is per element. */
export const trailers: readonly { fixed: number; each: number }[] = [
  { fixed: 0, each: 0 }, // void has no record, so a kind 0 is an error
  { fixed: 4, each: 0 }, // int
  { fixed: 0, each: 0 }, // pointer
  { fixed: 12, each: 0 }, // array
  { fixed: 0, each: 12 }, // struct
  { fixed: 0, each: 12 }, // union
  { fixed: 0, each: 8 }, // enum
  { fixed: 0, each: 0 }, // forward declaration
  { fixed: 0, each: 0 }, // typedef
  { fixed: 0, each: 0 }, // volatile
  { fixed: 0, each: 0 }, // const
  { fixed: 0, each: 0 }, // restrict
  { fixed: 0, each: 0 }, // function
  { fixed: 0, each: 8 }, // function prototype
  { fixed: 4, each: 0 }, // variable
  { fixed: 0, each: 12 }, // data section
  { fixed: 0, each: 0 }, // float
  { fixed: 4, each: 0 }, // declaration tag
  { fixed: 0, each: 0 }, // type tag
  { fixed: 0, each: 12 }, // 64-bit enum
]
