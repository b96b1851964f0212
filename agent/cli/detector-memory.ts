import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { stateDirectory } from '../config/state-directory.ts'
import { messageOf, UserError } from '../lib/errors.ts'
import type { Memory } from '../model/detector.ts'
import { openDatabase } from '../store/database.ts'
import { memoryOf } from '../store/memory.ts'
import { storeFile } from '../store/store.ts'
import { prepareTables } from '../store/tables.ts'
import { type Flags, resolveConfig } from './options.ts'

/** Reads or changes a detector's stored memory, even while a daemon runs; the daemon picks up the changes. */
export function withDetectorMemory(flags: Flags, detector: string, work: (memory: Memory) => void): void {
  const path = join(stateDirectory(resolveConfig(flags).state_directory, process.env), storeFile)
  if (!existsSync(path)) {
    throw new UserError(`${path} not found: has the daemon run with this --state.directory?`)
  }
  try {
    using database = openDatabase(path)
    work(memoryOf(prepareTables(database), detector))
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(`cannot access ${path}: ${messageOf(error)}`)
  }
}
