import { stripVTControlCharacters } from 'node:util'

/** The results of a run of ava. */
export type Report = {
  /** The exit status of ava. */
  status: number
  /** Titles as ava prints them: `e2e › detections › a claim`. */
  passed: Set<string>
  /** The cause of each failure by title. */
  failed: Map<string, string>
  /** Test files that crashed or had uncaught errors, with the cause. */
  brokenFiles: Map<string, string>
  /** Whether ava aborted the run because tests hung. */
  isCutShort: boolean
}

/** Parses the output of ava's default reporter line by line. */
export function reportReader(): { read: (line: string) => void; end: (status: number) => Report } {
  const report: Report = {
    status: 1,
    passed: new Set(),
    failed: new Map(),
    brokenFiles: new Map(),
    isCutShort: false,
  }
  // A failure's line has its title followed by how it failed; the details repeat only the title.
  const failureLines: string[] = []
  let inDetails = false
  let detailed: string | undefined

  function read(text: string): void {
    const line = stripVTControlCharacters(text).trim()
    const [, mark, title] = /^(✔|✘ \[fail\]:) (.+?)(?: \((?:[\d.]+(?:ms|[dhms]) ?)+\))?$/.exec(line) ?? []
    if (title !== undefined && mark === '✔') report.passed.add(title)
    else if (title !== undefined) failureLines.push(title)
    if (line.startsWith('✘ Timed out')) report.isCutShort = true
    const [, file] = /^(?:✘|Uncaught exception|Unhandled rejection) .*?(test\/\S+\.test\.ts)/.exec(line) ?? []
    if (file !== undefined && !report.brokenFiles.has(file)) report.brokenFiles.set(file, line)
    if (line === '─') inDetails = true
    else if (inDetails) readDetail(line)
  }

  function readDetail(line: string): void {
    if (failureLines.some((failure) => failure === line || failure.startsWith(`${line} `))) {
      if (line.length > 0) {
        detailed = line
        report.failed.set(line, '')
      }
    } else if (detailed !== undefined && report.failed.get(detailed) === '') {
      const [, message] = /^message: ['"`](.*?)['"`],?$/.exec(line) ?? []
      if (message !== undefined) report.failed.set(detailed, message)
    }
  }

  return {
    read,
    end(status) {
      report.status = status
      for (const line of failureLines) {
        const title = [...report.failed.keys()].find((known) => line.startsWith(known)) ?? line
        const how = line.slice(title.length).trim()
        if ((report.failed.get(title) ?? '') === '') report.failed.set(title, how || 'an assertion failed')
      }
      return report
    },
  }
}
