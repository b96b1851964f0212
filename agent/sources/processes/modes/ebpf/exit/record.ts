/** The fields of an exit record behind the common header. */
export const exited = {
  leaderCode: 36, // u32, as in wait(2), of the thread group leader
  groupCode: 40, // u32, of exit_group(2) or a signal that ended all threads
  length: 48,
} as const
