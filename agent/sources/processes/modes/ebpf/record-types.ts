/** The types of records that the process programs write into their ring. */
export const recordTypes = { executed: 1, forked: 2, exited: 3, requested: 4, oomVictim: 7 } as const
