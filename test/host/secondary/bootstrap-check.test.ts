import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { CheckedDatabase } from "../../../src/capture/integrity.ts";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import {
  checkBeforeBootstrap,
  DamagedDatabasesError,
  UncheckableDatabaseError,
} from "../../../src/host/secondary/bootstrap-check.ts";
import { checkDatabases } from "../../../src/host/secondary/integrity-check.ts";
import { temporaryFolder } from "../../support/capture/pair.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";

const command = [...selfCommand(), "database-checker"] as const;
const never = new AbortController().signal;

async function decide(
  found: readonly CheckedDatabase[],
  depth: "quick" | "full" = "quick",
  acceptDamaged = false,
): Promise<{ failure: unknown; warnings: string[] }> {
  const warnings: string[] = [];
  const failure = await checkBeforeBootstrap({
    depth,
    acceptDamaged,
    check: () => Promise.resolve(found),
    onWarning: (text) => warnings.push(text),
  }).catch((error: unknown) => error);
  return { failure, warnings };
}

const damaged: CheckedDatabase = {
  name: "a.db",
  kind: "damaged",
  found: ["Tree 2 page 3: btreeInitPage() returns error code 11", "x", "y", "z"],
};

test("damage is refused with what was found and what to do, unless an operator takes it, and then it is told", async () => {
  const { failure } = await decide([{ name: "b.db", kind: "whole" }, damaged]);
  expect(failure).toBeInstanceOf(DamagedDatabasesError);
  expect((failure as Error).message).toContain(
    "a.db is damaged: Tree 2 page 3: btreeInitPage() returns error code 11; x; y; and 1 more",
  );
  expect((failure as DamagedDatabasesError).advice).toContain("--accept-damaged");
  const accepted = await decide([damaged], "quick", true);
  expect(accepted).toEqual({
    failure: undefined,
    warnings: [expect.stringContaining("accepted as it is (--accept-damaged): a.db is damaged")],
  });
});

test("what cannot be read now is tried again, also for an operator that accepts damage; what is no database is capture's", async () => {
  const { failure } = await decide([{ name: "a.db", kind: "unreadable", reason: "database is locked" }], "quick", true);
  expect(failure).toBeInstanceOf(UncheckableDatabaseError);
  expect(await decide([{ name: "a.db", kind: "no-database" }])).toEqual({ failure: undefined, warnings: [] });
});

test("what only the application can check is a warning, and refused where the full check was asked for", async () => {
  const unchecked: CheckedDatabase = { name: "a.db", kind: "unchecked", reason: "unknown function: own()" };
  expect(await decide([unchecked])).toEqual({
    failure: undefined,
    warnings: [expect.stringContaining("unknown function: own()")],
  });
  expect((await decide([unchecked], "full")).failure).toBeInstanceOf(DamagedDatabasesError);
});

test("databases are checked by a process of its own, one after the other, whatever their names", async () => {
  using folder = temporaryFolder();
  const names = ["a.db", "t\\xE9nant.db", "with space\n.db"];
  const { pathOf, uriOf } = await import("../../../src/capture/data-path.ts");
  for (const name of names) {
    const database = new DatabaseSync(uriOf(pathOf(folder.path, name), "mode=rwc"));
    database.exec("CREATE TABLE t (x)");
    database.close();
  }
  writeFileSync(join(folder.path, "noise.db"), Buffer.alloc(8192, "noise"));
  const progress: number[] = [];
  const checked = await checkDatabases({
    command,
    root: folder.path,
    depth: "full",
    names: [...names, "noise.db"],
    onProgress: (count) => progress.push(count),
    signal: never,
  });
  expect(checked).toEqual([
    ...names.map((name) => ({ name, kind: "whole" as const })),
    { name: "noise.db", kind: "no-database" },
  ]);
  expect(progress).toEqual([1, 2, 3, 4]);
});

test("a process that falls over a file names it; one that is no longer needed is ended", async () => {
  const died = await checkDatabases({
    command: ["sh", "-c", 'read name; echo "{\\"name\\":$name,\\"kind\\":\\"whole\\"}"; kill -SEGV $$'],
    root: "/",
    depth: "quick",
    names: ["a.db", "b.db"],
    onProgress: () => undefined,
    signal: never,
  });
  expect(died).toEqual([
    { name: "a.db", kind: "whole" },
    { name: "b.db", kind: "damaged", found: [expect.stringContaining("SIGSEGV")] },
  ]);
  const stop = new AbortController();
  const hanging = checkDatabases({
    command: ["sh", "-c", "exec sleep 600"],
    root: "/",
    depth: "quick",
    names: ["a.db"],
    onProgress: () => undefined,
    signal: stop.signal,
  });
  stop.abort(new Error("the next stage begins"));
  expect(((await failureOf(hanging)) as Error).message).toBe("the next stage begins");
});
