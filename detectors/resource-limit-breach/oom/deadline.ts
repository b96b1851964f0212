/**
 * How long a kill can wait for the fact that decides it, and a death for its event. This is a last resort: it ends the
 * wait where the counter is unreadable and the kernel does not name its victims, or where the engine never reports a
 * death. It is longer than any delay of an engine event that was ever measured.
 */
export const lastResortMs = 120_000

/** How many events, victims or deaths wait. Only an engine that emits events without end makes more of them wait. */
export const maxWaiting = 64
