import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describeFolder, explainFolder } from "../../../src/cli/commands/explain-host.ts";
import { screenOf } from "../../../src/cli/output/wrap-text.ts";
import type { FilesConfig } from "../../../src/config/files-config.ts";

let dataFolder: string;
beforeEach(() => {
  dataFolder = mkdtempSync(join(tmpdir(), "stead-explain-"));
});
afterEach(() => {
  rmSync(dataFolder, { recursive: true });
});

const files: FilesConfig = {
  ...{ patterns: ["uploads/**"], except: [], durability: { kind: "before-answer" }, over: "refuse" },
  bounds: { filesMax: 1, bytesMax: 1, fileBytesMax: 1, bytesPerSecondMax: 1 },
};

function explain() {
  mkdirSync(join(dataFolder, "uploads/deep"), { recursive: true });
  writeFileSync(join(dataFolder, "notes.db"), "SQLite format 3\0 and so on");
  writeFileSync(join(dataFolder, "notes.db-wal"), "");
  writeFileSync(join(dataFolder, ".migrate"), "{}");
  writeFileSync(join(dataFolder, "other.bin"), "SQLite format 3\0 and so on");
  for (let i = 0; i < 20; i++) writeFileSync(join(dataFolder, "uploads/deep", `${i}.png`), "x".repeat(1024));
  symlinkSync("/etc", join(dataFolder, "uploads/link"));
  return explainFolder({ dataFolder, databases: ["*.db"], databasesExcept: [], files });
}

test("lists what is captured as a database, as a file, and not at all", () => {
  const { entries } = explain();
  const covered = Object.fromEntries(entries.map(({ name, coverage }) => [name, coverage]));
  expect(covered).toMatchObject({
    ...{ "notes.db": "database", "notes.db-wal": "companion", uploads: "file", "uploads/link": "file" },
    ...{ "uploads/deep/0.png": "file", ".migrate": "none", "other.bin": "none" },
  });
  // A link is not followed.
  expect(Object.keys(covered).some((name) => name.startsWith("uploads/link/"))).toBe(false);
});

test("warns of what looks like state, with the key to add it to", () => {
  const { warnings } = explain();
  expect(warnings).toHaveLength(2);
  expect(warnings[0]).toContain(".migrate looks like a record of migrations, and is not covered");
  expect(warnings[0]).toContain("`files` in [host]");
  expect(warnings[1]).toContain("other.bin looks like a database");
  expect(warnings[1]).toContain("`databases` in [host]");
});

test("a folder of many files is one line", () => {
  const text = describeFolder(explain(), screenOf(undefined));
  expect(text).toMatch(/uploads\/deep\/\* \(20\) +covered as a file +20 KiB/);
  expect(text).toContain("databases 1 (26 B), files covered 21 (20 KiB), not covered 2 (28 B)");
});

test("a folder that does not exist is empty", () => {
  const found = explainFolder({ dataFolder: join(dataFolder, "none"), databases: ["*.db"], databasesExcept: [] });
  expect(found.entries).toEqual([]);
  expect(found.warnings).toEqual([]);
});
