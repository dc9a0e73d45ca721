/** SQLite's errors, as `node:sqlite` passes them on. */

/** The primary result code. */
export function sqliteCode(error: unknown): number | undefined {
  const code = error instanceof Error ? (error as { errcode?: unknown }).errcode : undefined;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** BUSY, LOCKED or PROTOCOL: another process is active, and a later try may succeed. */
export function isBusy(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === 5 || code === 6 || code === 15;
}

/** BUSY_SNAPSHOT: what was read is not the newest state any more. */
export const isOutdated = (error: unknown): boolean =>
  error instanceof Error && (error as { errcode?: unknown }).errcode === 517;

/** An error that `isBusy` recognises. */
export const busy = (why: string): Error => Object.assign(new Error(why), { errcode: 5 });
