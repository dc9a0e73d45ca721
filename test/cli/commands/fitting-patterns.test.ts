import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fittingPatterns } from "../../../src/cli/commands/fitting-patterns.ts";
import { surveyFolder } from "../../../src/host/machine/folder-survey.ts";

const database = "SQLite format 3\0 and more";

/** The patterns for a folder with these databases and other files. */
function patternsOf(databases: readonly string[], others: readonly string[] = []): string[] | undefined {
  const folder = mkdtempSync(join(tmpdir(), "stead-patterns-"));
  try {
    for (const name of [...databases, ...others]) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), databases.includes(name) ? database : "x");
    }
    return fittingPatterns(surveyFolder(folder));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("databases of one kind in a folder get one pattern, their companions none", () => {
  expect(patternsOf(["a.db", "b.db"], ["a.db-wal", "a.db-shm", "readme.txt"])).toEqual(["*.db"]);
  expect(patternsOf(["app.sqlite3", "tenants/1.db", "tenants/2.db"])).toEqual(["*.sqlite3", "tenants/*.db"]);
});

test("a pattern that would match another file is not written: the databases are named", () => {
  expect(patternsOf(["a.db", "b.db"], ["thumbs.db"])).toEqual(["a.db", "b.db"]);
  expect(patternsOf(["store"], ["other"])).toEqual(["store"]);
});

test("many folders become **, if that matches nothing else", () => {
  const tenants = Array.from({ length: 12 }, (_, at) => `t/${at}/data.db`);
  expect(patternsOf(tenants, ["t/1/log.txt"])).toEqual(["**/*.db"]);
  expect(patternsOf(tenants, ["thumbs.db"])?.length).toBe(12);
});

test("a folder that was not looked at whole has no patterns: one might match what was not seen", () => {
  const entry = { name: "a.db", kind: "file", bytes: 16, isDatabase: true } as const;
  const survey = { entries: [entry], unreadable: [] };
  expect(fittingPatterns({ ...survey, isCut: false })).toEqual(["*.db"]);
  expect(fittingPatterns({ ...survey, isCut: true })).toBeUndefined();
});

test("a folder without databases, or none, has no patterns", () => {
  expect(patternsOf([], ["notes.txt", "empty.db"])).toBeUndefined();
  expect(fittingPatterns(surveyFolder("/nonexistent/stead"))).toBeUndefined();
});
