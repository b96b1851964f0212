import { printable } from '../../agent/lib/text.ts'

/** Markup that is safe to send. Only this file creates it from text. */
export type Html = { readonly markup: string }

/** Template tag: inserts values into markup and escapes everything that is not `Html` already. */
export function html(
  strings: TemplateStringsArray,
  ...values: readonly (Html | string | number | readonly Html[])[]
): Html {
  const markup = strings.map(
    (string, index) => `${index === 0 ? '' : markupOf(values[index - 1] ?? '')}${string}`,
  )
  return { markup: markup.join('') }
}

/** Empty markup, for optional content. */
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
