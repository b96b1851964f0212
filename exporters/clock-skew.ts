import type { Receiver } from './receiver.ts'

/** Follows one receiver's clock: decides when and by how much times are corrected. */
export type ReceiverClock = {
  /** Add this to a time of this host to get that of the receiver, in milliseconds; 0 while the clocks agree. */
  correctionMs(): number
  /** Takes a measurement, null if there was none. True if it changes the correction. */
  measured(skewMs: number | null): boolean
}

// Below this, the start and end of alerts are right enough: Alertmanager usually waits 30 s for more (`group_wait`).
const startMs = 30_000
// Lower than the start, so that a clock that differs by some 30 s does not switch the correction on and off.
const endMs = 15_000
// A measurement is exact to a second. Smaller changes would move the start of alerts at every reminder.
const materialMs = 5_000

/** Creates the clock of a receiver that has not been measured. */
export function receiverClock(): ReceiverClock {
  let correctionMs = 0
  return {
    correctionMs: () => correctionMs,
    measured(skewMs) {
      const next = skewMs === null ? correctionMs : nextCorrection(correctionMs, skewMs)
      const isChanged = next !== correctionMs
      correctionMs = next
      return isChanged
    },
  }
}

/** The correction after a measurement, in milliseconds. */
export function nextCorrection(correctionMs: number, skewMs: number): number {
  const distance = Math.abs(skewMs)
  if (correctionMs === 0) return distance >= startMs ? skewMs : 0
  if (distance < endMs) return 0
  return Math.abs(skewMs - correctionMs) >= materialMs ? skewMs : correctionMs
}

/** Says that the correction of times for a receiver starts, for the log. */
export function skewMessage(receiver: string, correctionMs: number, corrects: Corrected): string {
  const seconds = Math.round(Math.abs(correctionMs) / 1_000)
  const direction = correctionMs > 0 ? 'behind' : 'ahead of'
  const clocks = `this host’s clock is ${seconds} s ${direction} the receiver’s`
  return `${receiver}: ${clocks}${corrected[corrects]}; check the time synchronisation (NTP) of both hosts`
}

/** Says that the clocks agree again, for the log. */
export function agreementMessage(receiver: string): string {
  return `${receiver}: this host’s clock agrees with the receiver’s again`
}

type Corrected = Receiver['corrects']

const corrected: Readonly<Record<Corrected, string>> = {
  alerts: ', so the times of alerts are corrected',
  signature: ', so the timestamps of signed requests are corrected',
  nothing: '',
}
