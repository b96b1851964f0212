/** The fields of a fork record behind the common header. */
export const forked = { creatorPid: 36, length: 40 } as const
