/**
 * Checks an existing database before it becomes the first checkpoint: damage would be in every copy from then on, and
 * by the time it is noticed yesterday's intact backup may be gone.
 *
 * Databases that SQLite calls damaged are refused until an operator accepts them (`stead host --accept-damaged`). Files
 * that are no database to SQLite here are left to capture.
 */
import type { CheckDepth, CheckedDatabase } from "../../capture/integrity.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** Only an operator can fix or accept it. */
export class DamagedDatabasesError extends OperatorError {
  constructor(what: string) {
    super("resource", {
      found: `not accepted as the first content of the vault: ${what}`,
      accepted: "databases in which SQLite finds no damage",
      advice:
        "put back a whole copy (sqlite3 OLD .recover | sqlite3 NEW saves what can be read), or accept it as it is, for good: run `stead host` once with --accept-damaged",
    });
  }
}

/** It may be different in a moment. */
export class UncheckableDatabaseError extends OperatorError {
  constructor(name: string, reason: string) {
    super("resource", {
      found: `${name} cannot be checked before the vault starts from it: ${reason}`,
      advice: "stop the process that has it open or locked, and make sure that the host's user can read it",
    });
  }
}

/** A restore has begun to change the data folder, and did not end. */
export class UnfinishedRestoreError extends OperatorError {
  constructor(previousFolder: string) {
    super("resource", {
      found: `not accepted as the first content of the vault: a restore on this host did not end, and has left ${previousFolder}`,
      accepted: "a data folder that is whole",
      advice:
        "put what is in there, or another whole copy, into the data folder, and remove that folder; this host then continues by itself",
    });
  }
}

export interface BootstrapCheckOptions {
  readonly depth: CheckDepth;
  readonly acceptDamaged: boolean;
  readonly check: () => Promise<readonly CheckedDatabase[]>;
  readonly onWarning: (text: string) => void;
}

/** Findings shown in full; more are counted. */
const shownMax = 3;

/** Throws DamagedDatabasesError, UncheckableDatabaseError, and what `check` throws. */
export async function checkBeforeBootstrap({
  depth,
  acceptDamaged,
  check,
  onWarning,
}: BootstrapCheckOptions): Promise<void> {
  const refused: string[] = [];
  for (const database of await check()) {
    const { name } = database;
    switch (database.kind) {
      case "whole":
      case "no-database":
        break;
      case "damaged":
        refused.push(`${name} is damaged: ${shorten(database.found)}`);
        break;
      case "unchecked": {
        const what = `${name} cannot be checked without its application: ${database.reason}`;
        // For a requested full check, indexes that could not be compared are no answer.
        if (depth === "full") refused.push(`${what} (host.bootstrap_check = "quick" does not need it)`);
        else onWarning(what);
        break;
      }
      case "unreadable":
        throw new UncheckableDatabaseError(name, database.reason);
    }
  }
  if (refused.length === 0) return;
  if (!acceptDamaged) throw new DamagedDatabasesError(shorten(refused));
  for (const what of refused) onWarning(`accepted as it is (--accept-damaged): ${what}`);
}

function shorten(texts: readonly string[]): string {
  const rest = texts.length - shownMax;
  return texts.slice(0, shownMax).join("; ") + (rest > 0 ? `; and ${rest} more` : "");
}
