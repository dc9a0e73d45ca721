/** What the kernel tells of folders, by the names that they have. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileEvents } from "../../../src/capture/files/file-events.ts";

let root = "";
let events: FileEvents;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "stead-file-events-"));
  const opened = await FileEvents.open();
  if (typeof opened === "string") throw new Error(opened);
  events = opened;
});
afterEach(() => {
  events.close();
  rmSync(root, { recursive: true });
});

const at = (path: string): string => join(root, path);

function hear(): string[] {
  const heard: string[] = [];
  events.hear((path, news, isPlaceCertain) => void heard.push(`${path} ${news}${isPlaceCertain ? "" : " (astray)"}`));
  return heard;
}

test("of a folder that has moved away it is told under its former name, as uncertain, until it is watched again", () => {
  mkdirSync(at("a/b"), { recursive: true });
  for (const file of ["a/one", "a/b/two", "three"]) writeFileSync(at(file), "x");
  for (const folder of ["", "a", "a/b"]) expect(events.watch(folder, at(folder))).toBe(true);
  renameSync(at("a"), at("c"));
  for (const file of ["c/one", "c/b/two", "three"]) rmSync(at(file));
  expect(hear()).toEqual([
    ...["a moved-away", "c moved-here", "a/one gone (astray)", "a/b/two gone (astray)", "three gone"],
  ]);
  for (const folder of ["c", "c/b"]) events.watch(folder, at(folder));
  for (const file of ["c/one", "c/b/two"]) writeFileSync(at(file), "x");
  expect(hear().filter((each) => each.endsWith("appeared"))).toEqual(["c/one appeared", "c/b/two appeared"]);
  rmSync(at("c/b"), { recursive: true });
  // Of the folder that is gone itself: a new one may be at its name.
  expect(hear()).toEqual(["c/b/two gone", "c/b gone (astray)", "c/b gone"]);
});
