/** What SQLite said, as `node:sqlite` passes it on. */

/** The primary result code. */
export function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error ? (error as { errcode?: unknown }).errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** BUSY, LOCKED or PROTOCOL: somebody else is at it, and a later try may work. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 5 || code === 6 || code === 15;
}

/** BUSY_SNAPSHOT: what was read is not the newest state any more. */
export const isOutdated = (error: unknown): boolean =>
  error instanceof Error && (error as { errcode?: unknown }).errcode === 517;

/** What `isBusy` takes for it. */
export const busy = (why: string): Error => Object.assign(new Error(why), { errcode: 5 });
