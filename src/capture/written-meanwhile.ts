/**
 * A database that no process had open when a snapshot began was written before the snapshot had read it, and its state
 * at that time is gone. The next snapshot pins it.
 */
export class WrittenMeanwhileError extends Error {
  override readonly name = "WrittenMeanwhileError";
  constructor(database: string) {
    super(`${database} was written while the snapshot was being copied`);
  }
}
