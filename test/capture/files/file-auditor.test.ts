/** Goes round files of which the kernel tells nothing. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileAuditor, namesIn } from "../../../src/capture/files/file-auditor.ts";
import { findAt } from "../../../src/capture/files/file-look.ts";
import { FileStamps } from "../../../src/capture/files/file-stamps.ts";
import { type PendingPath, PendingPaths } from "../../../src/capture/files/pending-paths.ts";
import type { FileEntry } from "../../../src/core/files/file-entry.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { allRules } from "../../../src/core/rules.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const owner = { mode: 0o644, uid: 0, gid: 0 };
const folder: FileEntry = { kind: "folder", ...owner };
const file: FileEntry = { kind: "file", ...owner, mtimeMs: 0, size: 3, pieces: [] };
const link = (target: string): FileEntry => ({ kind: "link", target });
const matcher = fileMatcher({
  files: ["up/**", "secrets/*.key"],
  except: ["up/tmp"],
  databases: ["*.db"],
  reserved: [],
});
const [firstAtMs, roundMs] = [10_000, 600_000];

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stead-audited-"));
  mkdirSync(join(root, "up"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const write = (path: string): void => writeFileSync(join(root, path), "abc");

/** A tree with these entries; those in `read` were read as they are on the disk now. */
function make(entries: Readonly<Record<string, FileEntry>>, read: readonly string[] = []) {
  const tree = new FileTree(sha256, Object.entries(entries));
  const stamps = new FileStamps();
  for (const path of read) {
    const found = findAt(join(root, path));
    if (found?.kind === "file") stamps.set(path, found.stamp);
  }
  const looked: string[] = [];
  const get: FileStamps["get"] = (path) => {
    looked.push(path);
    return stamps.get(path);
  };
  const pending = new PendingPaths({ hear: () => false }, matcher, allRules);
  const auditor = new FileAuditor({ root, matcher, tree, pending, stamps: { get } }, 0);
  return {
    ...{ auditor, pending, looked },
    /** Ticks at one time: a round at most. What each found is examined before the next. */
    tick(nowMs: number, times = 50): Map<string, PendingPath> {
      const told = new Map<string, PendingPath>();
      for (let tick = 0; tick < times; tick++) {
        auditor.tick(nowMs);
        for (const [path, each] of pending.take()) told.set(path, each);
      }
      return told;
    },
  };
}

const gone = (removal: number): PendingPath => ({
  isWritten: false,
  isNew: false,
  removal,
  isMovedAway: false,
  presence: "unknown",
});
const written: PendingPath = { isWritten: true, isNew: false, removal: 0, isMovedAway: false, presence: "unknown" };
const appeared: PendingPath = { ...written, isNew: true };

test("what differs from the tree is examined, and nothing else", () => {
  for (const path of ["up/same", "up/written", "up/unread", "up/new", "other", "app.db"]) write(path);
  for (const path of ["secrets", "up/tmp", "up/sub"]) mkdirSync(join(root, path));
  write("secrets/a.key");
  write("up/tmp/excepted");
  symlinkSync("there", join(root, "up/link"));
  symlinkSync("elsewhere", join(root, "up/led"));
  symlinkSync("x", join(root, "up/instead"));
  const { tick } = make(
    {
      ...{ up: folder, "up/sub": folder },
      ...{ "up/same": file, "up/written": file, "up/unread": file, "up/gone": file, "up/instead": file },
      ...{ "up/link": link("there"), "up/led": link("here") },
    },
    ["up/same", "up/written"],
  );
  writeFileSync(join(root, "up/written"), "other");
  const told = tick(firstAtMs);
  expect(Object.fromEntries([...told].sort())).toEqual({
    secrets: appeared,
    "up/gone": gone(1),
    "up/instead": written,
    "up/led": written,
    "up/new": appeared,
    // A file that a replica wrote is read once.
    "up/unread": written,
    "up/written": written,
  });
});

test("a folder that is gone has what was in it gone, too", () => {
  const { tick } = make({ up: folder, "up/a": folder, "up/a/b": file });
  expect([...tick(firstAtMs).keys()].sort()).toEqual(["up/a", "up/a/b"]);
});

test("a round begins ten seconds after the start, and the next one ten minutes after its end", () => {
  write("up/unread");
  const { tick } = make({ up: folder, "up/unread": file });
  const finds = (nowMs: number): number => tick(nowMs).size;
  expect([firstAtMs - 1, firstAtMs, firstAtMs, firstAtMs + roundMs - 1].map(finds)).toEqual([0, 1, 0, 0]);
  expect([firstAtMs + roundMs, firstAtMs + roundMs + 1].map(finds)).toEqual([1, 0]);
});

test("a tick looks at two, and at no more once something differs, so that all of it has its time", () => {
  const paths = Array.from({ length: 5 }, (_, nth) => `up/${nth}`);
  for (const path of paths) write(path);
  const entries = Object.fromEntries([["up", folder], ...paths.map((path) => [path, file] as const)]);
  const same = make(entries, paths);
  same.auditor.tick(firstAtMs);
  expect(same.looked.length).toBe(2);
  const other = make(entries);
  other.auditor.tick(firstAtMs);
  other.auditor.tick(firstAtMs);
  expect(other.looked.length).toBe(1);
  expect([...other.pending.take()].length).toBe(1);
  other.auditor.tick(firstAtMs);
  expect(other.looked.length).toBe(2);
});

test("a folder that is not there has no names, and one that cannot be listed is no folder without names", () => {
  expect(namesIn(join(root, "absent"))).toEqual([]);
  write("file");
  expect(namesIn(join(root, "file"))).toEqual([]);
  expect(() => namesIn(join(root, "x".repeat(300)))).toThrow("ENAMETOOLONG");
});
