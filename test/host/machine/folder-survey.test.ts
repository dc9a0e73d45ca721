import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { surveyFolder } from "../../../src/host/machine/folder-survey.ts";

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "stead-survey-"))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const magic = "SQLite format 3\0";

test("a file that begins as SQLite's do is a database, whatever its name and however short", () => {
  mkdirSync(join(folder, "tenants"));
  writeFileSync(join(folder, "tenants/a"), `${magic}and more`);
  writeFileSync(join(folder, "shortest"), magic);
  writeFileSync(join(folder, "shorter"), magic.slice(0, -1));
  writeFileSync(join(folder, "text.db"), "SQLite format 4\0 and more");
  symlinkSync("shortest", join(folder, "link"));
  const { entries, isCut, unreadable } = surveyFolder(folder);
  expect([isCut, unreadable]).toEqual([false, []]);
  expect(entries.map(({ name, kind, isDatabase }) => [name, kind, isDatabase])).toEqual([
    ["link", "link", false],
    ["shorter", "file", false],
    ["shortest", "file", true],
    ["tenants", "folder", false],
    ["tenants/a", "file", true],
    ["text.db", "file", false],
  ]);
});
