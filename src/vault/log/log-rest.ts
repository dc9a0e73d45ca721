/** The rest of the log after a position, as far as it can be read: what a restore to that position leaves out. */
import { isVaultError } from "../errors.ts";
import type { Position } from "../record.ts";
import { type Log, readRecord } from "./log.ts";

export interface LogRest {
  readonly from: Position;
  readonly to: Position;
  /** Records with committed pages, including unreadable ones. */
  readonly commits: number;
  readonly unreadable: number;
  /** Wall-clock time of the last readable record, milliseconds since 1970; undefined: there is none. */
  readonly lastWallTimeMs: number | undefined;
  /** Databases that the readable records change. */
  readonly databases: readonly string[];
}

/** Returns undefined if nothing comes after the position. Throws StoreError and the signal's reason. */
export async function readRest(log: Log, after: Position, signal?: AbortSignal): Promise<LogRest | undefined> {
  const positions = await log.positions(after);
  const last = positions.at(-1);
  if (last === undefined) return undefined;
  const databases = new Set<string>();
  let [commits, unreadable, lastWallTimeMs] = [0, 0, undefined as number | undefined];
  for (const position of positions) {
    signal?.throwIfAborted();
    try {
      const record = await readRecord(log, position);
      if (record === undefined) continue;
      const { header, body } = record;
      lastWallTimeMs = header.wallTimeMs;
      if (body.kind !== "commit") continue;
      commits += 1;
      for (const { name } of body.databases) databases.add(name);
    } catch (error) {
      if (!isVaultError(error)) throw error;
      commits += 1;
      unreadable += 1;
    }
  }
  return { from: after + 1, to: last, commits, unreadable, lastWallTimeMs, databases: [...databases].toSorted() };
}
