/**
 * The restore test of `stead vault verify --restore`: restores the newest state as an operator would, lets SQLite check
 * every database, and removes it again. `verify` proves that the vault has what was put; this proves that a database
 * comes out of it. What only SQLite sees, a database that was damaged before it was captured, is found here.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkIntegrity, type Integrity } from "../../capture/integrity.ts";
import { pathOf } from "../../capture/data-path.ts";
import type { PointInTime } from "../../host/secondary/point-in-time.ts";
import { EmptyVaultError } from "../../host/secondary/restorer.ts";
import { systemClock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

export interface CheckedRestore {
  readonly name: string;
  readonly bytes: number;
  readonly integrity: Integrity;
}

export type RestoreTest =
  | {
      readonly kind: "restored";
      readonly position: number;
      readonly tookMs: number;
      readonly databases: readonly CheckedRestore[];
    }
  /** The vault's own error. */
  | { readonly kind: "failed"; readonly why: string };

/**
 * Calls `restore` with the absolute path of a folder below `parent` that does not exist yet, and removes what it made,
 * also after a failure. `onChecked` is told how much SQLite has checked, database by database.
 *
 * @throws EmptyVaultError, which is no damage; LittleRoomError before anything is written; errors of the file system;
 * and the signal's reason.
 */
export async function testRestore(
  restore: (folder: string) => Promise<PointInTime>,
  parent: string,
  signal?: AbortSignal,
  onChecked?: (bytes: number, totalBytes: number) => void,
): Promise<RestoreTest> {
  const scratch = mkdtempSync(join(parent, "stead-restore-test-"));
  const startedAtMs = systemClock.now();
  try {
    const folder = join(scratch, "databases");
    const { position, databases } = await restore(folder);
    const total = databases.reduce((sum, { bytes }) => sum + bytes, 0);
    let done = 0;
    onChecked?.(done, total);
    const checked = databases.map(({ name, bytes }): CheckedRestore => {
      signal?.throwIfAborted();
      const integrity = checkIntegrity(pathOf(folder, name), "full");
      onChecked?.((done += bytes), total);
      return { name, bytes, integrity };
    });
    return { kind: "restored", position, tookMs: systemClock.now() - startedAtMs, databases: checked };
  } catch (error) {
    if (!(error instanceof OperatorError) || error.area !== "vault" || error instanceof EmptyVaultError) throw error;
    return { kind: "failed", why: error.message };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** False: a database did not come out whole. What needs parts of the application cannot be checked here, and passes. */
export const hasPassed = (test: RestoreTest): boolean =>
  test.kind === "restored" &&
  test.databases.every(({ integrity: { kind } }) => kind === "whole" || kind === "unchecked");

export function describeRestoreTest(test: RestoreTest): string[] {
  if (test.kind === "failed") return [`restore      FAILED: ${test.why}`];
  const { databases, position, tookMs } = test;
  const bytes = databases.reduce((sum, database) => sum + database.bytes, 0);
  return [
    `restore      ${databases.length} databases, ${bytes} bytes, at position ${position}, in ${(tookMs / 1000).toFixed(1)} s`,
    ...databases.map(({ name, integrity }) => `  ${name}: ${inWords(integrity)}`),
  ];
}

function inWords(integrity: Integrity): string {
  switch (integrity.kind) {
    case "whole":
      return "integrity_check passes";
    case "damaged":
      return `DAMAGED: ${integrity.found.join("; ")}`;
    case "no-database":
      return "DAMAGED: no database to SQLite";
    case "unchecked":
      return `not checked: ${integrity.reason}`;
    case "unreadable":
      return `DAMAGED: ${integrity.reason}`;
  }
}
