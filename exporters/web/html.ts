import { printable } from '../../agent/lib/text.ts'

/** Markup that is safe to send; only this file makes it out of text. */
export type Html = { readonly markup: string }

/** Puts text into markup: whatever is not markup already is escaped, hostile or not. */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (Html | string | number | readonly Html[])[]
): Html {
  const markup = strings.map(
    (string, index) => `${index === 0 ? '' : markupOf(values[index - 1] ?? '')}${string}`,
  )
  return { markup: markup.join('') }
}

/** Nothing where something may be. */
export const nothing: Html = { markup: '' }

function markupOf(value: Html | string | number | readonly Html[]): string {
  if (typeof value === 'string') return escape(value)
  if (typeof value === 'number') return value.toLocaleString('en-US')
  return 'markup' in value ? value.markup : value.map(({ markup }) => markup).join('\n')
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escape(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => entities[character] ?? '')
}
