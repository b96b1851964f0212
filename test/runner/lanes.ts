/** Runs tasks in order, as many in parallel as there are lanes; resolves to their results in the order of the tasks. */
export async function inLanes<Task, Result>(
  lanes: number,
  tasks: readonly Task[],
  work: (task: Task) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  async function lane(): Promise<void> {
    for (let index = next++; index < tasks.length; index = next++) {
      results[index] = await work(tasks[index]!)
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return results
}
