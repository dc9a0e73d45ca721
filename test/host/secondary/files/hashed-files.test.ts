import { afterEach, beforeEach, expect, test } from "bun:test";
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { filePieceBytes } from "../../../../src/core/files/file-entry.ts";
import { fileUserOf } from "../../../../src/core/files/file-owner.ts";
import { fileMatcher } from "../../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../../src/core/files/file-tree.ts";
import { FileReplica } from "../../../../src/host/secondary/files/file-replica.ts";
import { LocalFiles } from "../../../../src/host/secondary/files/local-files.ts";
import { LocalData } from "../../../../src/host/secondary/local-data.ts";
import { type FileSystem, systemFiles } from "../../../../src/runtime/file-system.ts";
import { sha256 } from "../../../../src/runtime/sha256.ts";
import { hexHash, piecesOf, putOf } from "../../../support/vault/files-fixture.ts";

let folder: string;
let data: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-hashed-"));
  data = join(folder, "data");
  mkdirSync(join(data, "uploads"), { recursive: true });
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const matcher = fileMatcher({ files: ["uploads/**"], except: [], databases: ["*.db"], reserved: [] });
const user = fileUserOf(process.geteuid?.() === 0, undefined);
const large = new Uint8Array(2 * filePieceBytes + 10).map((_, at) => at % 251);
const small = Buffer.from("a few bytes");

/** A host that was primary, and comes back: its files are moved away, and those of a checkpoint are loaded. */
class Rejoin {
  bytesRead = 0;
  onRead: () => void = () => undefined;
  fetched: string[] = [];
  readonly #contents = new Map<string, Uint8Array>();
  readonly #tree = new FileTree(sha256);
  readonly fs: FileSystem = {
    ...systemFiles,
    readSync: ((fd: number, into: Uint8Array, offset: number, length: number, position: number) => {
      this.onRead();
      const count = systemFiles.readSync(fd, into, offset, length, position);
      this.bytesRead += count;
      return count;
    }) as FileSystem["readSync"],
  };
  local = this.#newLocal();

  /** The checkpoint has this. */
  put(path: string, content: Uint8Array): void {
    const put = putOf(path, content, 0o600);
    for (const piece of piecesOf(content)) this.#contents.set(hexHash(piece), piece);
    const pieces = put.pieces.map(({ hash }) => ({ hash, place: { kind: "chunk", key: hash } as const }));
    const { mode, uid, gid, mtimeMs, size } = put;
    this.#tree.add(path, { kind: "file", mode, uid, gid, mtimeMs, size, pieces });
  }

  /** As another process of the host. */
  restart(): void {
    this.local = this.#newLocal();
  }

  async moveAway(): Promise<void> {
    await this.local.prepare();
    await this.local.mark({ kind: "primary", epoch: 1 });
    await this.local.moveAway(() => Promise.resolve(true));
  }

  async load(): Promise<void> {
    const replica = new FileReplica({
      ...{ root: data, matcher, user, fs: this.fs },
      ...{ previousFolder: this.local.previousFolder, known: this.local.previousPieces },
      fetch: ({ path, hash }) => {
        this.fetched.push(path);
        return Promise.resolve(this.#contents.get(hash) ?? new Uint8Array());
      },
    });
    await replica.load(this.#tree, () => undefined);
  }

  #newLocal(): LocalData {
    const state = join(folder, "state");
    return new LocalData(
      { dataFolder: data, stateFolder: state, setAsideFolder: join(state, "set-aside") },
      { find: () => Promise.resolve([]), committedChecksum: () => Promise.resolve(undefined) },
      undefined,
      { beside: new LocalFiles(matcher, user, { fs: this.fs }) },
    );
  }
}

const at = (path: string): string => join(data, path);

test("a rejoin reads each file once, and takes back what is the same", async () => {
  const rejoin = new Rejoin();
  for (const [path, content] of [
    ["uploads/large", large],
    ["uploads/small", small],
  ] as const) {
    writeFileSync(at(path), content);
    rejoin.put(path, content);
  }
  await rejoin.moveAway();
  expect(rejoin.bytesRead).toBe(large.length + small.length);
  const { ino } = statSync(join(rejoin.local.previousFolder, "uploads/large"));
  await rejoin.load();
  expect(rejoin.bytesRead).toBe(large.length + small.length);
  expect(rejoin.fetched).toEqual([]);
  expect(statSync(at("uploads/large")).ino).toBe(ino);
  expect(readFileSync(at("uploads/small")).equals(small)).toBe(true);
});

test("of a file that differs in one piece only the others are read again, to be copied", async () => {
  const rejoin = new Rejoin();
  writeFileSync(at("uploads/large"), large);
  const other = large.slice();
  other[filePieceBytes] = 255;
  rejoin.put("uploads/large", other);
  await rejoin.moveAway();
  await rejoin.load();
  expect(rejoin.bytesRead).toBe(2 * large.length - filePieceBytes);
  expect(rejoin.fetched).toEqual(["uploads/large"]);
  expect(readFileSync(at("uploads/large")).equals(Buffer.from(other))).toBe(true);
});

test("a file that was written since is read, also if its time is set back", async () => {
  const rejoin = new Rejoin();
  writeFileSync(at("uploads/small"), small);
  utimesSync(at("uploads/small"), 1_700_000_000, 1_700_000_000);
  rejoin.put("uploads/small", small);
  await rejoin.moveAway();
  const moved = join(rejoin.local.previousFolder, "uploads/small");
  writeFileSync(moved, "A few bytes");
  utimesSync(moved, 1_700_000_000, 1_700_000_000);
  await rejoin.load();
  expect(rejoin.fetched).toEqual(["uploads/small"]);
  expect(readFileSync(at("uploads/small")).equals(small)).toBe(true);
});

test("a file with another name is proven when it is copied: it may be written there at any moment", async () => {
  const rejoin = new Rejoin();
  writeFileSync(at("uploads/small"), small);
  linkSync(at("uploads/small"), join(folder, "outside"));
  rejoin.put("uploads/small", small);
  await rejoin.moveAway();
  rejoin.onRead = () => writeFileSync(join(folder, "outside"), "A few bytes");
  await rejoin.load();
  expect(rejoin.fetched).toEqual(["uploads/small"]);
  expect(readFileSync(at("uploads/small")).equals(small)).toBe(true);
});

test("another process of the host reads all of them", async () => {
  const rejoin = new Rejoin();
  writeFileSync(at("uploads/large"), large);
  rejoin.put("uploads/large", large);
  await rejoin.moveAway();
  rejoin.restart();
  await rejoin.load();
  expect(rejoin.bytesRead).toBe(2 * large.length);
  expect(rejoin.fetched).toEqual([]);
});
