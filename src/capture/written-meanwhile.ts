/**
 * A database that nobody had open when a snapshot began was written before the snapshot had read it: what it was then
 * is gone. The next snapshot has it, and keeps it.
 */
export class WrittenMeanwhileError extends Error {
  override readonly name = "WrittenMeanwhileError";
  constructor(database: string) {
    super(`${database} was written while the snapshot was being copied`);
  }
}
