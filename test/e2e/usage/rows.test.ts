/**
 * Each row of the table of usages that were not right once (rows/table.ts), in every SQLite library that can do it,
 * under real hosts: nothing that was acknowledged is missing, nothing is malformed, and nothing ends that need not.
 */
import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { engines } from "./engine-actions.ts";
import type { Part } from "./rows/row.ts";
import { SharedRun } from "./rows/shared-run.ts";
import { table } from "./rows/table.ts";
import { commits } from "./rows/transactions.ts";

setDefaultTimeout(120_000);

const parts = [...new Set<Part>([commits, ...table.flatMap((row) => row.parts)])];
/** It has the one row that names it; the rest it does as SQLite does, or not at all. */
const isTurso = (name: string): boolean => name === "@tursodatabase/database";
const tested: { readonly usage: string; readonly engine: string }[] = [];

const runs = engines
  .filter(({ name, missing }) => !isTurso(name) && missing === undefined)
  .map((engine) => ({ engine, shared: new SharedRun(engine, parts) }));

/** Waits for one; the next one continues beside the tests that follow. */
async function go(shared: SharedRun): Promise<void> {
  await shared.go();
  const next = runs[runs.findIndex((run) => run.shared === shared) + 1];
  // Its own tests tell what became of it.
  next?.shared.go().catch(() => undefined);
}

for (const engine of engines) {
  if (engine.missing !== undefined) console.log(`skipped, usage with ${engine.name}: ${engine.missing}`);
  describe.skipIf(engine.missing !== undefined)(engine.name, () => {
    const shared = runs.find((run) => run.engine === engine)?.shared ?? new SharedRun(engine, parts);
    if (!isTurso(engine.name)) beforeAll(() => go(shared));
    for (const { usage, parts: ofRow } of table) {
      for (const part of ofRow) {
        const inability = shared.inability(part);
        if (isTurso(engine.name) && part.cannot?.["Python sqlite3"] === undefined) continue;
        tested.push({ usage, engine: engine.name });
        if (inability !== undefined)
          test(`${usage}: cannot be done, since ${inability.why}`, () => shared.assert(part));
        else test(`${usage}: ${part.does}`, () => (part.kind === "own" ? part.run(engine) : shared.assert(part)));
      }
    }
    if (isTurso(engine.name)) return;
    test(commits.does, () => shared.assert(commits));
    test("nothing else is in the vault in the end", () => shared.assert("whole"));
  });
}

describe("the table", () => {
  test("has a test of every row in every engine, and of what depends on none where that is named", () => {
    for (const { usage, parts: ofRow, elsewhere = [] } of table) {
      const missing =
        ofRow.length === 0
          ? []
          : engines.filter(
              ({ name }) => !isTurso(name) && !tested.some((one) => one.usage === usage && one.engine === name),
            );
      expect([usage, missing]).toEqual([usage, []]);
      expect(ofRow.length + elsewhere.length).toBeGreaterThan(0);
      for (const [file, name] of elsewhere)
        expect(readFileSync(join(import.meta.dirname, "../../..", file), "utf8")).toContain(`"${name}"`);
    }
    expect(tested.filter(({ engine }) => isTurso(engine)).map(({ usage }) => usage)).toEqual([
      "an engine that writes the WAL and coordinates by other files",
    ]);
  });

  test.if(process.env["STEAD_TEST_ENGINES"] === "all")(
    "is tested in every engine, as STEAD_TEST_ENGINES=all asks for",
    () => {
      expect(engines.flatMap(({ name, missing }) => (missing === undefined ? [] : [`${name}: ${missing}`]))).toEqual(
        [],
      );
    },
  );
});
