/** The page's only style sheet. It is inlined, because the page may not load anything. */
export const style = `
:root {
  color-scheme: light dark;
  font: 15px/1.5 system-ui, 'DejaVu Sans', sans-serif;
  --back: light-dark(#f6f7f9, #14171b); --card: light-dark(#fff, #1d2127); --text: light-dark(#1c2126, #e4e7eb);
  --soft: light-dark(#5d6875, #98a3b0); --line: light-dark(#e2e6eb, #2f353d);
  --red: light-dark(#b3261e, #ff8a80); --amber: light-dark(#8a5a00, #ffc266);
  --blue: light-dark(#1257a6, #8ec3ff); --green: light-dark(#1d6b34, #86d69b);
}
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text) }
header, main, footer { max-width: 78rem; margin: 0 auto; padding: 0 1.25rem }
header { padding-top: 1.75rem; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; align-items: baseline }
h1 { font-size: 1.35rem; margin: 0; overflow-wrap: anywhere }
header p { margin: 0 } header p, footer { color: var(--soft) }
h2 { font-size: 1.05rem; margin: 1.75rem 0 .6rem }
a { color: var(--blue) }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin-top: 1.25rem }
.card, .sheet { background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
.card { padding: .7rem 1rem }
.card b { display: block; font-size: 1.6rem; line-height: 1.25; font-variant-numeric: tabular-nums }
.card span { color: var(--soft) }
.sheet { overflow-x: auto }
.sheet p { margin: 0; padding: .8rem 1rem; color: var(--soft) }
table { border-collapse: collapse; width: 100% }
th { text-align: left; font-weight: 600; color: var(--soft) }
th, td { padding: .45rem 1rem; border-bottom: 1px solid var(--line); vertical-align: top }
tr:last-child > td { border-bottom: 0 }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums }
td.when, td.rule { white-space: nowrap }
td.name { overflow-wrap: anywhere; min-width: 11rem; max-width: 18rem }
td.what { overflow-wrap: anywhere; min-width: 16rem; width: 45% }
.pill { display: inline-block; padding: 0 .55rem; border-radius: 1rem; border: 1px solid currentColor; font-weight: 600; font-size: .85rem; white-space: nowrap }
.critical, .down { color: var(--red) } .warning, .degraded { color: var(--amber) }
.info { color: var(--blue) } .healthy { color: var(--green) } .starting, .resolved { color: var(--soft) }
small { color: var(--soft) }
.text { padding-top: 1.5rem; max-width: 46rem } .text h1 { margin-bottom: 1rem } .text pre { padding: .8rem 1rem; overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
summary { cursor: pointer } .end { color: var(--soft) } .times { white-space: nowrap }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0 .2rem; font-size: .9rem }
dt { color: var(--soft) } dd { margin: 0; font-family: ui-monospace, 'DejaVu Sans Mono', monospace; overflow-wrap: anywhere }
footer { padding-top: 1.5rem; padding-bottom: 2.5rem }
@media (max-width: 44rem) {
  thead { display: none }
  tr { display: flex; flex-wrap: wrap; align-items: baseline; gap: .15rem .8rem; padding: .6rem 1rem; border-bottom: 1px solid var(--line) }
  tr:last-child { border-bottom: 0 }
  td { border: 0; padding: 0 }
  td.name, td.what { min-width: 0; max-width: none; width: auto }
  td.what { flex-basis: 100% } td:empty { display: none }
  td.number::before { content: attr(title) ' '; color: var(--soft) }
}
`
