import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ReplicaError } from "../../../../src/capture/replica-error.ts";
import type { FileChange, PutFile } from "../../../../src/core/files/file-change.ts";
import { filePieceBytes } from "../../../../src/core/files/file-entry.ts";
import { type FileUser, fileUserOf, ownersOwn } from "../../../../src/core/files/file-owner.ts";
import { fileMatcher } from "../../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../../src/core/files/file-tree.ts";
import {
  FileReplica,
  FilesBeganError,
  type FileReplicaOptions,
} from "../../../../src/host/secondary/files/file-replica.ts";
import { type FileSystem, systemFiles } from "../../../../src/runtime/file-system.ts";
import { sha256 } from "../../../../src/runtime/sha256.ts";
import { hexHash, piecesOf, putOf } from "../../../support/vault/files-fixture.ts";
import { failureOf } from "../../../support/vault/log-fixture.ts";

let folder: string;
let root: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-files-"));
  root = join(folder, "data");
  mkdirSync(root);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const matcher = fileMatcher({
  files: ["uploads/**", ".migrate"],
  except: ["uploads/tmp/**"],
  databases: ["*.db"],
  reserved: [],
});

const user = fileUserOf(process.geteuid?.() === 0, undefined);

/** A primary's tree, and a replica that gets its flushes. */
class Pair {
  readonly tree = new FileTree(sha256);
  readonly replica: FileReplica;
  #position = 1;

  constructor(options: Partial<FileReplicaOptions> = {}) {
    this.replica = new FileReplica({
      root,
      matcher,
      user,
      fetch: () => Promise.reject(new Error("no vault")),
      ...options,
    });
  }

  async apply(...changes: readonly FileChange[]): Promise<void> {
    await this.prepare(...changes);
    await this.replica.commit();
  }

  prepare(...changes: readonly FileChange[]): Promise<void> {
    this.tree.apply(changes, this.#position);
    return this.replica.prepare({ changes, checksum: this.tree.checksum }, this.#position++);
  }
}

const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const folderAt = (path: string, mode = 0o750): FileChange => ({ kind: "put-folder", path, mode, ...owner });
const inRoot = (path: string): string => join(root, path);
const modeOf = (path: string): number => lstatSync(inRoot(path)).mode & 0o7777;

/** A put that takes pieces from a file as it was before. */
function putFrom(path: string, content: Uint8Array, base: string, same: readonly number[]): PutFile {
  const put = putOf(path, content);
  const pieces = put.pieces.map((piece, index) =>
    same.includes(index) ? { hash: piece.hash, source: { kind: "same", index } as const } : piece,
  );
  return { ...put, base, pieces };
}

describe("a flush", () => {
  test("whose contents the vault did not give at first is taken once it does", async () => {
    const content = Buffer.from("in a chunk");
    let isAway = true;
    const pair = new Pair({
      fetch: () => (isAway ? Promise.reject(new Error("no answer")) : Promise.resolve(new Uint8Array(content))),
    });
    await pair.apply(folderAt("uploads"), putOf("uploads/old", "renamed"));
    const put = putOf("uploads/a", content);
    const pieces = put.pieces.map(({ hash }) => ({ hash, source: { kind: "chunk", key: "chunk" } as const }));
    const renamed = putFrom("uploads/new", Buffer.from("renamed"), "uploads/old", [0]);
    const changes: FileChange[] = [{ kind: "remove", path: "uploads/old" }, { ...put, pieces }, renamed];
    expect(String(await failureOf(pair.prepare(...changes)))).toContain("no answer");
    expect(readdirSync(root)).toEqual(["uploads"]);
    isAway = false;
    await pair.replica.prepare({ changes, checksum: pair.tree.checksum }, 2);
    await pair.replica.commit();
    expect(readFileSync(inRoot("uploads/a"), "utf8")).toBe("in a chunk");
    await pair.apply(putOf("uploads/c", "later"));
    expect(readdirSync(inRoot("uploads")).sort()).toEqual(["a", "c", "new"]);
  });

  test("writes files, links and folders with their modes and times, and leaves nothing else behind", async () => {
    const pair = new Pair();
    await pair.apply(
      folderAt("uploads", 0o2750),
      folderAt("uploads/empty", 0o700),
      putOf("uploads/a", "content", 0o604),
      { kind: "put-link", path: "uploads/link", target: "../nowhere" },
      putOf("uploads/none", ""),
    );
    expect(readFileSync(inRoot("uploads/a"), "utf8")).toBe("content");
    expect([modeOf("uploads"), modeOf("uploads/empty"), modeOf("uploads/a")]).toEqual([0o2750, 0o700, 0o604]);
    expect(readlinkSync(inRoot("uploads/link"))).toBe("../nowhere");
    expect(statSync(inRoot("uploads/none")).size).toBe(0);
    expect(statSync(inRoot("uploads/a")).mtimeMs).toBe(1_700_000_000_000);
    pair.replica.handOver();
    expect(readdirSync(root)).toEqual(["uploads"]);
  });

  test("shows nothing before it is committed", async () => {
    const pair = new Pair();
    await pair.apply(putOf("uploads/a", "old"));
    await pair.prepare(putOf("uploads/a", "new"), { kind: "remove", path: "uploads/a" }, putOf("uploads/b", "new"));
    expect(readFileSync(inRoot("uploads/a"), "utf8")).toBe("old");
    expect(existsSync(inRoot("uploads/b"))).toBe(false);
    await pair.replica.commit();
    expect(readdirSync(inRoot("uploads"))).toEqual(["b"]);
  });

  test("takes pieces from the files as they were before it, so that two can exchange their names", async () => {
    const pair = new Pair();
    const [a, b] = [new Uint8Array(300_000).fill(1), new Uint8Array(300_000).fill(2)];
    await pair.apply(putOf("uploads/a", a), putOf("uploads/b", b));
    await pair.apply(putFrom("uploads/a", b, "uploads/b", [0, 1]), putFrom("uploads/b", a, "uploads/a", [0, 1]));
    expect(readFileSync(inRoot("uploads/a")).equals(Buffer.from(b))).toBe(true);
    expect(readFileSync(inRoot("uploads/b")).equals(Buffer.from(a))).toBe(true);
  });

  test("of one changed piece of a large file rewrites the file whole", async () => {
    const pair = new Pair();
    const content = new Uint8Array(3 * filePieceBytes).map((_, at) => at % 251);
    await pair.apply(putOf("uploads/a", content));
    content[filePieceBytes + 5] = 255;
    await pair.apply(putFrom("uploads/a", content, "uploads/a", [0, 2]));
    expect(readFileSync(inRoot("uploads/a")).equals(Buffer.from(content))).toBe(true);
  });

  test("replaces a folder by a file, and a file by a folder, and a link by either", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads/x"), putOf("uploads/x/in", "1"), putOf("uploads/y", "2"));
    await pair.apply(putOf("uploads/x", "file"), { kind: "remove", path: "uploads/y" }, folderAt("uploads/y"));
    expect(readFileSync(inRoot("uploads/x"), "utf8")).toBe("file");
    // What was in the folder is not missed.
    for (let at = 0; at < 4; at++) pair.replica.look(10);
    expect(statSync(inRoot("uploads/y")).isDirectory()).toBe(true);
    await pair.apply(
      { kind: "put-link", path: "uploads/x", target: "y" },
      { kind: "put-link", path: "uploads/y", target: "x" },
    );
    await pair.apply(putOf("uploads/x", "again"));
    expect(readFileSync(inRoot("uploads/x"), "utf8")).toBe("again");
    expect(lstatSync(inRoot("uploads/y")).isSymbolicLink()).toBe(true);
  });

  test("removes a folder with all that is covered, and leaves what is not", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads"), putOf("uploads/d/a", "1"), putOf("uploads/b", "2"));
    mkdirSync(inRoot("uploads/tmp"));
    writeFileSync(inRoot("uploads/tmp/mine"), "");
    await pair.apply({ kind: "remove", path: "uploads" });
    expect(readdirSync(inRoot("uploads"), { recursive: true }).map(String).sort()).toEqual(["tmp", "tmp/mine"]);
    // Of what does not exist it is no error.
    await pair.apply({ kind: "remove", path: "uploads" }, { kind: "remove", path: ".migrate" });
  });

  test("into a folder that its owner may not write works, and the folder stays so", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads", 0o555), putOf("uploads/a", "1"));
    await pair.apply(putOf("uploads/b", "2"));
    expect(modeOf("uploads")).toBe(0o555);
    expect(readdirSync(inRoot("uploads")).sort()).toEqual(["a", "b"]);
    chmodSync(inRoot("uploads"), 0o755);
  });

  test("a hole stays one", async () => {
    const pair = new Pair();
    const content = new Uint8Array(8 * filePieceBytes);
    content[7 * filePieceBytes] = 1;
    await pair.apply(putOf("uploads/sparse", content));
    const { size, blocks } = statSync(inRoot("uploads/sparse"));
    expect(size).toBe(content.length);
    expect(blocks * 512).toBeLessThan(2 * filePieceBytes);
    expect(readFileSync(inRoot("uploads/sparse")).equals(Buffer.from(content))).toBe(true);
  });

  test("a file that ends in a hole has its whole length", async () => {
    const pair = new Pair();
    const content = new Uint8Array(2 * filePieceBytes + 7);
    content[0] = 1;
    await pair.apply(putOf("uploads/sparse", content), putOf("uploads/zeros", new Uint8Array(5)));
    expect(readFileSync(inRoot("uploads/sparse")).equals(Buffer.from(content))).toBe(true);
    expect(readFileSync(inRoot("uploads/zeros"))).toEqual(Buffer.alloc(5));
  });

  test("names and targets that are not UTF-8 are the same bytes", async () => {
    const pair = new Pair();
    await pair.apply(putOf("uploads/\\xff", "1"), { kind: "put-link", path: "uploads/l", target: "\\xfe" });
    expect(
      readdirSync(inRoot("uploads"), { encoding: "buffer" })
        .map((name) => name.toString("hex"))
        .sort(),
    ).toEqual(["6c", "ff"]);
    expect(readlinkSync(inRoot("uploads/l"), { encoding: "buffer" }).toString("hex")).toBe("fe");
  });
});

describe("what must not be", () => {
  const kindOf = async (work: Promise<unknown>): Promise<string> => {
    const error = await failureOf(work);
    return error instanceof ReplicaError ? error.kind : String(error);
  };

  test("a flush whose checksum differs is refused, and nothing of it is seen", async () => {
    const pair = new Pair();
    const changes = [putOf("uploads/a", "1")];
    expect(await kindOf(pair.replica.prepare({ changes, checksum: new Uint8Array(16) }, 1))).toBe("content");
    expect(existsSync(inRoot("uploads"))).toBe(false);
  });

  test("a flush that takes a piece of a file that the journal does not have is refused, and nothing of it is seen", async () => {
    const pair = new Pair();
    await pair.apply(putOf("uploads/a", "1"));
    const changes = [putFrom("uploads/b", Buffer.from("2"), "uploads/none", [0])];
    expect(await kindOf(pair.replica.prepare({ changes, checksum: new Uint8Array(16) }, 2))).toBe("content");
    expect(readdirSync(inRoot("uploads"))).toEqual(["a"]);
  });

  test("writes nothing through a link in place of a folder", async () => {
    const pair = new Pair();
    const outside = join(folder, "outside");
    mkdirSync(outside);
    await pair.apply(folderAt("uploads"), folderAt("uploads/d"), putOf("uploads/d/a", "1"));
    rmSync(inRoot("uploads/d"), { recursive: true });
    symlinkSync(outside, inRoot("uploads/d"));
    expect(await kindOf(pair.apply(putOf("uploads/d/b", "2")))).toBe("foreign");
    expect(await kindOf(pair.apply({ kind: "remove", path: "uploads/d/b" }))).toBe("foreign");
    expect(readdirSync(outside)).toEqual([]);
  });

  test("a link at the place of a file is replaced, not followed", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads"));
    const outside = join(folder, "outside");
    writeFileSync(outside, "theirs");
    symlinkSync(outside, inRoot("uploads/a"));
    await pair.apply(putOf("uploads/a", "ours"));
    expect(readFileSync(outside, "utf8")).toBe("theirs");
    expect(readFileSync(inRoot("uploads/a"), "utf8")).toBe("ours");
  });

  test("removes nothing that this host does not cover, whatever the journal says", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads"));
    mkdirSync(inRoot("uploads/tmp"));
    for (const name of ["notes.db", "notes.db-wal", ".bashrc", "uploads/tmp/mine"]) writeFileSync(inRoot(name), "mine");
    for (const path of ["notes.db", "notes.db-wal", ".bashrc", "uploads/tmp"])
      await pair.apply({ kind: "remove", path });
    expect(readdirSync(root).sort()).toEqual([".bashrc", "notes.db", "notes.db-wal", "uploads"]);
    expect(existsSync(inRoot("uploads/tmp/mine"))).toBe(true);
    // Nor to make room for something of another kind.
    mkdirSync(inRoot(".migrate"));
    writeFileSync(inRoot(".migrate/mine"), "mine");
    expect(await kindOf(pair.apply(putOf(".migrate", "x")))).toBe("foreign");
    expect(existsSync(inRoot(".migrate/mine"))).toBe(true);
  });

  test("of a file renamed from a place that this host leaves out gets the content from the vault", async () => {
    const content = new Uint8Array(300_000).fill(5);
    const asked: string[] = [];
    const pair = new Pair({
      fetch: ({ place, hash, path }) => {
        asked.push(`${path} ${JSON.stringify(place)}`);
        return Promise.resolve(piecesOf(content).find((piece) => hexHash(piece) === hash) ?? new Uint8Array());
      },
    });
    await pair.apply(putOf("other/a", content));
    await pair.apply({ kind: "remove", path: "other/a" }, putFrom("uploads/a", content, "other/a", [0, 1]));
    expect(readFileSync(inRoot("uploads/a")).equals(Buffer.from(content))).toBe(true);
    expect(asked).toEqual(Array(2).fill('uploads/a {"kind":"record","position":1}'));
  });

  test("the first flush with files is refused while this host has files that are not the journal's", async () => {
    const pair = new Pair();
    mkdirSync(inRoot("uploads"));
    await pair.apply();
    const other = new Pair();
    expect(other.replica.handOver()).toBeUndefined();
    writeFileSync(inRoot("uploads/mine"), "mine");
    expect(await failureOf(other.apply(putOf("uploads/a", "1")))).toBeInstanceOf(FilesBeganError);
    expect(readdirSync(inRoot("uploads"))).toEqual(["mine"]);
  });

  test("hands over folders in which something else kept the journal's removal from removing them", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads"), folderAt("uploads/d"), putOf("uploads/d/a", "1"));
    mkdirSync(inRoot("uploads/d/.stead-x/tmp"), { recursive: true });
    mkdirSync(inRoot("uploads/tmp"));
    await pair.apply({ kind: "remove", path: "uploads/d" });
    expect(pair.replica.handOver()?.foldersBesides).toEqual([]);
    mkdirSync(inRoot("uploads/e"));
    await pair.apply({ kind: "remove", path: "uploads" });
    expect(pair.replica.handOver()?.foldersBesides.toSorted()).toEqual(["uploads"]);
    await pair.apply(folderAt("uploads"));
    expect(pair.replica.handOver()?.foldersBesides).toEqual([]);
  });

  test("refuses a path that leads out of the data folder", async () => {
    const everything = { covers: () => true, coversFolder: () => true, visits: () => true, excepts: () => false };
    const pair = new Pair({ matcher: everything });
    for (const path of ["../out", "/etc/out", "uploads/../../out"]) {
      expect(await kindOf(pair.apply({ kind: "put-link", path, target: "x" }))).toBe("content");
      expect(await kindOf(pair.apply({ kind: "remove", path }))).toBe("content");
    }
    expect(existsSync(join(folder, "out"))).toBe(false);
  });

  test("files that this host does not list are proven, and not written", async () => {
    const pair = new Pair();
    await pair.apply(putOf("other/a", "1"), putOf(".bashrc", "2"), putOf("notes.db", "3"), putOf(".migrate", "4"));
    expect(pair.replica.handOver()?.tree.get("other/a")?.kind).toBe("file");
    expect([...pair.replica.unlisted]).toEqual(["other/a", ".bashrc", "notes.db"]);
    expect(readdirSync(root)).toEqual([".migrate"]);
  });

  test("files that this host excepts by name do not keep it from becoming primary", async () => {
    const pair = new Pair();
    await pair.apply(folderAt("uploads/tmp"), putOf("uploads/tmp/a", "1"), putOf("uploads/tmp/b", "2"));
    await pair.apply({ kind: "remove", path: "uploads/tmp/b" });
    expect([...pair.replica.unlisted]).toEqual([]);
    expect(pair.replica.handOver()?.excepted).toEqual(["uploads/tmp", "uploads/tmp/a"]);
    expect(existsSync(inRoot("uploads/tmp"))).toBe(false);
  });

  test("a file that another process changed is noticed by a look, at the hand-over, and when a flush builds on it", async () => {
    const pair = new Pair();
    const content = new Uint8Array(300_000).fill(3);
    await pair.apply(putOf("uploads/a", content), putOf("uploads/b", "b"));
    pair.replica.look(10);
    writeFileSync(inRoot("uploads/a"), "foreign");
    expect(() => {
      for (let at = 0; at < 2; at++) pair.replica.look(10);
    }).toThrow(ReplicaError);
    expect(() => pair.replica.handOver()).toThrow(ReplicaError);
    expect(await kindOf(pair.apply(putFrom("uploads/c", content, "uploads/a", [0, 1])))).toBe("foreign");
  });
});

describe("a checkpoint", () => {
  /** Contents in chunks, by a made-up key. */
  function stored(contents: Readonly<Record<string, Uint8Array>>) {
    const chunks = new Map<string, Uint8Array>();
    const keyOf = (hash: string): string => `chunks/0000000000000001/${hash}`;
    const tree = new FileTree(sha256);
    for (const [path, content] of Object.entries(contents)) {
      const put = putOf(path, content);
      for (const piece of piecesOf(content)) chunks.set(keyOf(hexHash(piece)), piece);
      const pieces = put.pieces.map(({ hash }) => ({ hash, source: { kind: "chunk", key: keyOf(hash) } as const }));
      tree.apply([{ ...put, pieces }], 1);
    }
    const fetched: string[] = [];
    const fetch: FileReplicaOptions["fetch"] = ({ place, path }) => {
      fetched.push(path);
      const bytes = place.kind === "chunk" ? chunks.get(place.key) : undefined;
      return bytes === undefined ? Promise.reject(new Error("none")) : Promise.resolve(bytes);
    };
    return { tree, fetch, fetched };
  }

  test("takes files of an earlier run whole, or the pieces that are the same, by their hash", async () => {
    const previousFolder = join(folder, "previous");
    const large = new Uint8Array(2 * filePieceBytes).map((_, at) => at % 249);
    const { tree, fetch, fetched } = stored({
      "uploads/same": large,
      "uploads/half": large,
      "uploads/new": Buffer.from("n"),
    });
    mkdirSync(join(previousFolder, "uploads"), { recursive: true });
    writeFileSync(join(previousFolder, "uploads/same"), large);
    const half = large.slice();
    half[filePieceBytes] = 77;
    writeFileSync(join(previousFolder, "uploads/half"), half);
    writeFileSync(join(previousFolder, "uploads/unknown"), "mine");
    const replica = new FileReplica({ root, matcher, user, fetch, previousFolder });
    let bytes = 0;
    await replica.load(tree, (more) => (bytes += more));
    for (const name of ["same", "half"])
      expect(readFileSync(inRoot(`uploads/${name}`)).equals(Buffer.from(large))).toBe(true);
    expect(fetched.sort()).toEqual(["uploads/half", "uploads/new"]);
    expect(bytes).toBe(tree.bytes);
    // What was not the same is left where it was.
    expect(readdirSync(join(previousFolder, "uploads")).sort()).toEqual(["half", "unknown"]);
  });

  test("has its folders and links too", async () => {
    const { tree, fetch } = stored({ "uploads/d/a": Buffer.from("a") });
    tree.apply([folderAt("uploads/empty", 0o2750), { kind: "put-link", path: "uploads/link", target: "d/a" }], 2);
    await new FileReplica({ root, matcher, user, fetch }).load(tree, () => undefined);
    expect(readlinkSync(inRoot("uploads/link"))).toBe("d/a");
    expect(readFileSync(inRoot("uploads/link"), "utf8")).toBe("a");
    expect(modeOf("uploads/empty")).toBe(0o2750);
  });

  test("takes no file of an earlier run that has another name: changing it would change what is there", async () => {
    const previousFolder = join(folder, "previous");
    const { tree, fetch, fetched } = stored({ "uploads/a": Buffer.from("shared") });
    mkdirSync(join(previousFolder, "uploads"), { recursive: true });
    const outside = join(folder, "outside");
    writeFileSync(outside, "shared", { mode: 0o600 });
    linkSync(outside, join(previousFolder, "uploads/a"));
    const before = statSync(outside);
    await new FileReplica({ root, matcher, user, fetch, previousFolder }).load(tree, () => undefined);
    expect(readFileSync(inRoot("uploads/a"), "utf8")).toBe("shared");
    expect(statSync(inRoot("uploads/a")).ino).not.toBe(before.ino);
    expect(statSync(outside)).toMatchObject({ mode: before.mode, mtimeMs: before.mtimeMs, nlink: 2 });
    expect(fetched).toEqual([]);
  });

  test("a piece that the vault no longer has ends it", async () => {
    const { tree } = stored({ "uploads/a": Buffer.from("x") });
    const replica = new FileReplica({ root, matcher, user, fetch: () => Promise.reject(new Error("gone")) });
    expect(String(await failureOf(replica.load(tree, () => undefined)))).toContain("gone");
    expect(existsSync(inRoot("uploads/a"))).toBe(false);
  });
});

describe("the owner of a file", () => {
  const cases: readonly [FileUser, string[]][] = [
    [{ kind: "application", uid: 71, gid: 72 }, ["own 71:72", "other 8:9"]],
    [{ kind: "root" }, ["own 0:0", "other 8:9"]],
    [{ kind: "host" }, []],
  ];
  for (const [as, expected] of cases)
    test(`as the journal has it, where ${as.kind} writes the files`, async () => {
      const given: string[] = [];
      const fs: FileSystem = {
        ...systemFiles,
        chownSync: (path, uid, gid) => void given.push(`${readFileSync(path, "utf8")} ${uid}:${gid}`),
      };
      const pair = new Pair({ user: as, fs });
      const own = { ...putOf(".migrate", "own"), uid: ownersOwn, gid: ownersOwn };
      await pair.apply(own);
      await pair.apply({ ...putOf(".migrate", "other"), uid: 8, gid: 9 });
      expect(given).toEqual(expected);
    });
});
