/** The word that was probably meant; undefined if none is similar. */
export function didYouMean(word: string, words: readonly string[]): string | undefined {
  const near = words
    .map((one) => ({ one, distance: editDistance(word, one) }))
    .filter(({ one, distance }) => distance <= Math.max(2, one.length / 3))
  return near.toSorted((a, b) => a.distance - b.distance)[0]?.one
}

/** How many letters must be added, removed or replaced (Levenshtein distance). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (const [at, letter] of from.split('').entries()) {
    const next = [at + 1]
    for (let index = 1; index <= to.length; index += 1) {
      const replaced = (row[index - 1] ?? 0) + (to[index - 1] === letter ? 0 : 1)
      next.push(Math.min(replaced, (row[index] ?? 0) + 1, (next[index - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
