/** What a look at the files finds to be the same, to be another one, or to have moved; through their capture. */
import { afterEach, beforeEach, describe, expect, mock, setDefaultTimeout, spyOn, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  closeSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FilesBatch, type FilesBegin, FileCapture } from "../../../src/capture/files/file-capture.ts";
import { FileEvents, type OnFileNews } from "../../../src/capture/files/file-events.ts";
import { PieceMemory } from "../../../src/capture/files/piece-memory.ts";
import type { PutFile } from "../../../src/core/files/file-change.ts";
import { filePieceBytes } from "../../../src/core/files/file-entry.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { type FileSystem, systemFiles } from "../../../src/runtime/file-system.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

setDefaultTimeout(60_000);

const isRoot = process.getuid?.() === 0;
const mib = 1024 * 1024;
const matcher = fileMatcher({ files: ["up/**"], except: [], databases: ["*.db"], reserved: [] });
/** Of files whose time of change says nothing. */
const longAgo = new Date(1_600_000_000_000);

let root: string;
let capture: FileCapture;
const opened: FileCapture[] = [];

async function open(
  begin: FilesBegin = { kind: "bootstrap" },
  more: Partial<Parameters<typeof FileCapture.open>[0]> = {},
): Promise<FileCapture> {
  const one = await FileCapture.open({
    ...{ root, matcher, begin, clock: systemClock, patienceMs: 10_000, over: "refuse", user: { kind: "root" } },
    bounds: { filesMax: 1000, bytesMax: 1 << 30, fileBytesMax: 24 * mib, bytesPerSecondMax: 1 << 30 },
    fetch: () => Promise.reject(new Error("it is nowhere")),
    onWarning: () => undefined,
    ...more,
  });
  opened.push(one);
  return one;
}

const at = (path: string): string => join(root, path);
const write = (path: string, content: string | Uint8Array): void => writeFileSync(at(path), content);
const age = (path: string): void => utimesSync(at(path), longAgo, longAgo);
const journaled = (tree: FileTree): FilesBegin & { kind: "journaled" } => ({
  ...{ kind: "journaled", tree, foldersBesides: [], excepted: [] },
});

async function look(isDatabaseAhead = (): boolean => false): Promise<"settled" | "again"> {
  capture.begin();
  return capture.settle(isDatabaseAhead);
}

async function flush(): Promise<FilesBatch | undefined> {
  for (let round = 0; (await look()) === "again" && round < 3; ) round += 1;
  return capture.take();
}

const kinds = (batch: FilesBatch | undefined): string[] =>
  (batch?.changes ?? []).map((change) => `${change.kind} ${change.path}`);

function putOf(batch: FilesBatch | undefined, path: string): PutFile | undefined {
  return batch?.changes.find((change): change is PutFile => change.kind === "put-file" && change.path === path);
}

const sources = (batch: FilesBatch | undefined, path: string): string[] =>
  (putOf(batch, path)?.pieces ?? []).map(({ source }) => source.kind);

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "stead-examined-"));
  mkdirSync(at("up/folder"), { recursive: true });
  write("up/first", "one");
  age("up/first");
  capture = await open();
});
afterEach(() => {
  mock.restore();
  for (const one of opened.splice(0)) one.close();
  rmSync(root, { recursive: true, force: true });
});

/** Makes the next news that the kernel tells be lost. */
async function losing(): Promise<{ readonly events: FileEvents; lose(): void }> {
  const events = await FileEvents.open();
  if (typeof events === "string") throw new Error(events);
  const hear = events.hear.bind(events);
  let isLost = false;
  events.hear = (onNews: OnFileNews) => {
    if (!isLost) return hear(onNews);
    isLost = false;
    hear(() => undefined);
    return true;
  };
  return { events, lose: () => void (isLost = true) };
}

describe("a file is the one that the journal has", () => {
  test.each<readonly [string, (path: string) => void]>([
    ["mode", (path) => chmodSync(path, 0o600)],
    ["time of change", (path) => utimesSync(path, longAgo, new Date(1_600_000_001_000))],
    [
      "content",
      (path) => {
        writeFileSync(path, "two");
        utimesSync(path, longAgo, longAgo);
      },
    ],
    [
      "size",
      (path) => {
        appendFileSync(path, "more");
        utimesSync(path, longAgo, longAgo);
      },
    ],
  ])("not if its %s is another one", async (_, change) => {
    change(at("up/first"));
    expect(kinds(await flush())).toEqual(["put-file up/first"]);
    expect(kinds(await flush())).toEqual([]);
  });

  test.skipIf(!isRoot).each([
    ["owner", 7, 0],
    ["group", 0, 7],
  ] as const)("not if its %s is another one, and neither is a folder", async (_, uid, gid) => {
    chownSync(at("up/first"), uid, gid);
    chownSync(at("up/folder"), uid, gid);
    expect(kinds(await flush())).toEqual(["put-folder up/folder", "put-file up/first"]);
  });

  test("not if it has a piece more, though all that it had are the same", async () => {
    const piece = Buffer.alloc(filePieceBytes, 1);
    write("up/pieces", piece);
    age("up/pieces");
    await flush();
    appendFileSync(at("up/pieces"), "x");
    age("up/pieces");
    expect(sources(await flush(), "up/pieces")).toEqual(["same", "inline"]);
    truncateSync(at("up/pieces"), filePieceBytes);
    age("up/pieces");
    expect(sources(await flush(), "up/pieces")).toEqual(["same"]);
  });

  test("if it was written again as it was: nothing is in a flush then", async () => {
    write("up/first", "one");
    age("up/first");
    expect(capture.isAhead()).toBe(true);
    expect(await flush()).toBeUndefined();
  });
});

describe("a file that has moved", () => {
  test("is not read, however often it moves", async () => {
    const taken = spyOn(PieceMemory.prototype, "take");
    renameSync(at("up/first"), at("up/second"));
    expect(sources(await flush(), "up/second")).toEqual(["same"]);
    renameSync(at("up/second"), at("up/folder/third"));
    const batch = await flush();
    expect(kinds(batch)).toEqual(["remove up/second", "put-file up/folder/third"]);
    expect(putOf(batch, "up/folder/third")?.base).toBe("up/second");
    expect(taken).not.toHaveBeenCalled();
  });

  test("and was written since is read, though its size and its times are the same", async () => {
    renameSync(at("up/first"), at("up/second"));
    write("up/second", "two");
    age("up/second");
    expect(sources(await flush(), "up/second")).toEqual(["inline"]);
  });

  test("is read when events were lost: one of them may have told of a write", async () => {
    const { events, lose } = await losing();
    capture = await open({ ...journaled(capture.snapshot().tree), events });
    // Read once, so that its stamp is known.
    write("up/first", "one");
    age("up/first");
    await flush();
    renameSync(at("up/first"), at("up/second"));
    write("up/second", "two");
    age("up/second");
    lose();
    expect(sources(await flush(), "up/second")).toEqual(["inline"]);
  });

  test("to another file system, and so is a copy, carries no content; a file that begins otherwise does", async () => {
    const bytes = Buffer.alloc(3 * filePieceBytes, 1);
    write("up/large", bytes);
    await flush();
    copyFileSync(at("up/large"), at("up/copy"));
    rmSync(at("up/large"));
    const moved = await flush();
    expect([putOf(moved, "up/copy")?.base, sources(moved, "up/copy")]).toEqual(["up/large", ["same", "same", "same"]]);
    const fd = openSync(at("up/copy"), "r+");
    writeSync(fd, "begins otherwise");
    closeSync(fd);
    const rewritten = await flush();
    expect([putOf(rewritten, "up/copy")?.base, sources(rewritten, "up/copy")]).toEqual([
      "up/copy",
      ["inline", "same", "same"],
    ]);
  });

  test("out of the folders of the service is gone, and nothing that happens there is told", async () => {
    write("up/folder/a", "a");
    await flush();
    renameSync(at("up/folder"), at("elsewhere"));
    expect(kinds(await flush())).toEqual(["remove up/folder"]);
    write("elsewhere/a", "b");
    mkdirSync(at("elsewhere/deeper"));
    expect(capture.isAhead()).toBe(false);
  });

  test("from a temporary name that no flush had is in the flush at once, and the temporary name in none", async () => {
    capture.begin();
    write("up/.tmp", "new");
    renameSync(at("up/.tmp"), at("up/new"));
    expect(await capture.settle(() => true)).toBe("settled");
    expect(kinds(capture.take())).toEqual(["put-file up/new"]);
    expect(capture.isAhead()).toBe(false);
  });
});

test("a folder that the journal knows by its files alone is removed with them", async () => {
  const tree = new FileTree(sha256);
  const attributes = { mode: 0o644, uid: 0, gid: 0 };
  mkdirSync(at("up/implied"));
  write("up/implied/a", "a");
  tree.add("up", { kind: "folder", ...attributes });
  tree.add("up/implied/a", { kind: "file", ...attributes, mtimeMs: 0, size: 0, pieces: [] });
  capture = await open(journaled(tree));
  rmSync(at("up/implied"), { recursive: true });
  expect(kinds(await flush())).toEqual(["remove up/implied"]);
});

test("the databases are asked whether they have moved only if something hangs on it", async () => {
  const asked = mock(() => true);
  write("up/a", "a");
  expect(await look(asked)).toBe("settled");
  expect(asked).not.toHaveBeenCalled();
});

describe("contents that are in no flush after all leave their room to others", () => {
  /** A flush has room for two. */
  const content = (fill: number): Buffer => Buffer.alloc(12 * mib, fill);

  test.each<readonly [string, (path: string) => void]>([
    ["is written again", () => undefined],
    ["is removed", (path) => rmSync(path)],
    ["becomes too large", (path) => truncateSync(path, 24 * mib + 1)],
  ])("when the file %s before the flush is taken", async (_, change) => {
    write("up/a", content(1));
    await look();
    change(at("up/a"));
    for (const fill of [2, 3]) {
      await look();
      write("up/a", content(fill));
    }
    await look();
    expect(new Set(sources(capture.take(), "up/a"))).toEqual(new Set(["inline"]));
  });
});

describe("a folder that the kernel does not watch", () => {
  test("holds responses, and is named with what to do", async () => {
    const { events } = await losing();
    const watch = events.watch.bind(events);
    let isFull = false;
    events.watch = (...asked) => !isFull && watch(...asked);
    capture = await open({ ...journaled(capture.snapshot().tree), events });
    isFull = true;
    mkdirSync(at("up/late"));
    await flush();
    const [held] = capture.uncaptured();
    expect(held?.name).toBe("up/late");
    expect(held?.reason).toContain("up/late: a folder that the kernel does not watch");
    expect(held?.advice).toContain("max_user_watches");
    rmSync(at("up/late"), { recursive: true });
    await flush();
    expect(capture.uncaptured()).toEqual([]);
  });

  test("may be the data folder itself", async () => {
    const { events } = await losing();
    events.watch = () => false;
    capture = await open({ ...journaled(new FileTree(sha256)), events });
    expect(capture.uncaptured()[0]?.reason).toContain("the data folder: a folder that the kernel does not watch");
  });
});

describe("a name that nothing is at any more", () => {
  test("is not looked for where the kernel has told that, and the journal has nothing there", async () => {
    const asked: string[] = [];
    const lstatSync = ((path: string, options: { bigint: true; throwIfNoEntry: false }) => {
      asked.push(path.slice(root.length + 1));
      return systemFiles.lstatSync(path, options);
    }) as FileSystem["lstatSync"];
    capture.close();
    capture = await open({ kind: "bootstrap" }, { fs: { ...systemFiles, lstatSync } });
    asked.length = 0;
    write("up/.draft", "two");
    renameSync(at("up/.draft"), at("up/second"));
    renameSync(at("up/first"), at("up/moved"));
    expect(kinds(await flush())).toEqual(["remove up/first", "put-file up/moved", "put-file up/second"]);
    expect(asked.includes("up/.draft")).toBe(false);
    expect(asked.toSorted().filter((path, index, all) => all.indexOf(path) === index)).toEqual([
      ...["up/first", "up/moved", "up/second"],
    ]);
  });
});
