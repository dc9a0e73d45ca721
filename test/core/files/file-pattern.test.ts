import { expect, test } from "bun:test";
import { type FileMatcher, fileMatcher, fileSegments } from "../../../src/core/files/file-pattern.ts";

const matcher = (files: readonly string[], except: readonly string[] = []): FileMatcher =>
  fileMatcher({ files, except, databases: ["*.db"], reserved: ["own"] });

test("a pattern is a path below the folder", () => {
  for (const pattern of ["uploads/**", "**", ".migrate", "secrets/*.key", "a/**/b"])
    expect(fileSegments(pattern)).toBeDefined();
  for (const pattern of ["", "/etc/passwd", "../x", "a/../b", "a//b", "a**", "**.key", ".stead-host.lock"])
    expect(fileSegments(pattern)).toBeUndefined();
});

test("** at the end is the folder and everything below it", () => {
  const uploads = matcher(["uploads/**"]);
  for (const name of ["uploads/a", "uploads/a/b/c.png", "uploads/line\nbreak"]) expect(uploads.covers(name)).toBe(true);
  expect(uploads.coversFolder("uploads")).toBe(true);
  for (const name of ["uploads2", "uploads2/a", "a/uploads"]) expect(uploads.covers(name)).toBe(false);
  expect(matcher(["**"]).covers("anything/at/all")).toBe(true);
  expect(matcher(["**/media/**"]).covers("a/b/media/x/y")).toBe(true);
});

test("a wildcard stays within its segment", () => {
  expect(matcher(["secrets/*.key"]).covers("secrets/a.key")).toBe(true);
  expect(matcher(["secrets/*.key"]).covers("secrets/b/a.key")).toBe(false);
});

test("all that is covered is in a folder that is watched, and a change of it is looked at", () => {
  for (const files of [["uploads/**"], ["**"], [".migrate"], ["secrets/*.key"], ["a/**/b"], ["**/media/**"]]) {
    const some = matcher(files, ["uploads/tmp"]);
    for (const path of [
      ...["uploads", "uploads/a", "uploads/tmp", "uploads/tmp/a", "uploads/x.db", ".migrate", "secrets/a.key", "own/a"],
      ...["a/b", "a/c/b", "a/c/b/d", "media/x", "b/media/x/y", "notes.db-wal"],
    ])
      expect([path, some.covers(path) && !some.visits(path)]).toEqual([path, false]);
  }
});

test("an exception wins, with everything below it", () => {
  const most = matcher(["**"], ["cache"]);
  for (const name of ["cache", "cache/a", "cache/a/b"]) expect(most.covers(name)).toBe(false);
  for (const name of ["cached", "a/cache"]) expect(most.covers(name)).toBe(true);
  expect(most.visits("cache")).toBe(false);
  const some = matcher(["uploads/**"], ["uploads/tmp"]);
  expect(some.covers("uploads/a")).toBe(true);
  expect(some.covers("uploads/tmp")).toBe(false);
  expect(some.covers("uploads/tmp/a")).toBe(false);
  expect(some.visits("uploads/tmp")).toBe(false);
});

test("a database, its companions and what is the host's own are never files", () => {
  const all = matcher(["**"]);
  for (const name of [
    "notes.db",
    "notes.db-wal",
    "notes.db-shm",
    "notes.db-journal",
    ".stead-host.lock",
    ".stead-incoming/1",
    "own/x",
  ])
    expect(all.covers(name)).toBe(false);
  for (const name of ["sub/notes.db", "notes.db.bak", "trip-journal"]) expect(all.covers(name)).toBe(true);
});

test("folders on the way to a file are visited, and covered", () => {
  const some = matcher(["uploads/**", "secrets/*.key", "a/**/b"]);
  for (const folder of ["uploads", "uploads/deep/er", "secrets", "a", "a/x/y"]) {
    expect(some.visits(folder)).toBe(true);
    expect(some.coversFolder(folder)).toBe(true);
  }
  expect(some.visits("")).toBe(true);
  expect(some.coversFolder("")).toBe(false);
  for (const folder of ["other", "secrets/deep", "upload"]) expect(some.visits(folder)).toBe(false);
});
