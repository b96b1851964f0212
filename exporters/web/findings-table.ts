import type { Finding } from '../../agent/model/finding.ts'
import { clip } from '../../agent/lib/text.ts'
import { alertName } from '../alertmanager/alert.ts'
import { evidenceLines } from '../evidence.ts'
import { endOf, outcomeOf, resolutionOf } from '../resolution.ts'
import { html, type Html, nothing } from './html.ts'
import { clock, pill, sheet } from './elements.ts'
import type { Status } from './status.ts'

/**
 * Findings as table rows, in the given order. Without evidence, each row shows only the general meaning of its rule.
 */
export function findingsTable(
  findings: readonly Finding[],
  { meaningOf, techniqueOf, runbookUrl }: Pick<Status, 'meaningOf' | 'techniqueOf' | 'runbookUrl'>,
  withEvidence: boolean,
  none: string,
): Html {
  const rows = findings.map((finding) => {
    const { last_seen, severity, state, rule, container } = finding
    const what = withEvidence
      ? inDetail(finding)
      : html`${meaningOf(rule)} ${times(finding)}${end(finding, false)}`
    return html`<tr>
      <td class="when">${clock(Date.parse(last_seen))}</td>
      <td>${pill(state === 'resolved' ? 'resolved' : severity)}</td>
      <td class="rule">
        <a href="${runbookUrl(alertName(rule))}">${rule}</a> <small>${techniqueOf(rule)}</small>
      </td>
      <td class="name">${clip(container?.name ?? '', maxName)}</td>
      <td class="what">${what}</td>
    </tr>`
  })
  return sheet(
    html`<th>when (UTC)</th>
      <th>severity</th>
      <th>rule</th>
      <th>container</th>
      <th>finding</th>`,
    rows,
    none,
  )
}

// Long enough for most names and command lines; the store has the full text.
const maxName = 80
const maxSummary = 300
const maxEvidence = 400

function inDetail(finding: Finding): Html {
  const { summary, evidence, count, id, container, first_seen } = finding
  const lines = [
    ...evidenceLines(evidence, maxEvidence),
    ['container', container === null ? '' : `${container.name} (${container.image})`],
    ['count', count > 1 ? `${count}, since ${clock(Date.parse(first_seen))}` : ''],
    ['finding', id],
  ].filter(([, text]) => text !== '')
  return html`<details>
      <summary>${clip(summary, maxSummary)} ${times(finding)}</summary>
      <dl>
        ${lines.map(
          ([key = '', text = '']) =>
            html`<dt>${key}</dt>
              <dd>${text}</dd>`,
        )}
      </dl>
    </details>
    ${end(finding, true)}`
}

function times({ count }: Finding): Html {
  return count > 1 ? html`<b class="times">×${count}</b>` : nothing
}

/** When a condition ended, and why: the reason may quote evidence. */
function end(finding: Finding, withReason: boolean): Html {
  if (finding.state === 'firing') return nothing
  const at = finding.state === 'resolved' ? ` ${clock(endOf(finding))}` : ''
  const reason = withReason ? clip(resolutionOf(finding), maxSummary) : ''
  return html`<div class="end">${outcomeOf(finding)}${at}${reason === '' ? '' : `: ${reason}`}</div>`
}
