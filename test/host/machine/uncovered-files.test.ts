import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describeUncovered } from "../../../src/host/machine/uncovered-files.ts";
import { temporaryFolder } from "../../support/capture/pair.ts";

const configOf = (dataFolder: string) => ({ dataFolder, databases: ["*.db"], databasesExcept: [] });

test("what looks like state and is not covered is named, a few of it, and no more is claimed than was looked at", () => {
  using folder = temporaryFolder();
  const config = configOf(folder.path);
  writeFileSync(join(folder.path, "app.db"), "SQLite format 3\0");
  writeFileSync(join(folder.path, "debug.log"), "passing");
  expect(describeUncovered(config)).toBeUndefined();
  mkdirSync(join(folder.path, "uploads"));
  for (let at = 0; at < 7; at++) writeFileSync(join(folder.path, "uploads", `${at}.png`), "");
  const text = describeUncovered(config);
  expect(text).toContain("uploads/0.png, uploads/1.png, uploads/2.png, uploads/3.png, uploads/4.png and 2 more; add");
  expect(text).not.toContain("debug.log");
  expect(describeUncovered(config, 8)).toContain("(among the first 8 entries, more were not looked at)");
});
