import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { hashPage, lockPage, PageHashes } from "../../src/capture/page-hashes.ts";
import { Replica } from "../../src/capture/replica.ts";
import { ReplicaError } from "../../src/capture/replica-error.ts";
import type { DatabaseDelta, Page } from "../../src/core/delta.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 512;
const filled = (byte: number): Uint8Array => new Uint8Array(pageSize).fill(byte);
const page = (number: number, byte: number): Page => ({ number, content: filled(byte) });

/** The checksum by its definition, not by the table. */
function checksumOf(contents: readonly Uint8Array[]): Uint8Array {
  const sum = new Uint8Array(16);
  contents.forEach((content, i) => hashPage(i + 1, content).forEach((byte, at) => (sum[at] = (sum[at] ?? 0) ^ byte)));
  return sum;
}

function delta(pageCount: number, pages: readonly Page[], bytes: readonly number[], name = "app.db"): DatabaseDelta {
  return { name, pageSize, pageCount, pages, checksum: checksumOf(bytes.map(filled)) };
}

async function* chunks(...parts: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield await Promise.resolve(part);
}

test("deltas grow, change and shrink the file, and a page without content is zeros", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  await replica.apply({ deltas: [delta(2, [page(1, 1), page(2, 2)], [1, 2])] });
  await replica.apply({ deltas: [delta(4, [page(4, 4)], [1, 2, 0, 4])] });
  expect(readFileSync(join(folder.path, "app.db"))).toEqual(Buffer.concat([1, 2, 0, 4].map(filled)));
  await replica.apply({ deltas: [delta(1, [page(1, 9)], [9])] });
  await replica.apply({ deltas: [delta(3, [page(3, 7)], [9, 0, 7])] });
  expect(readFileSync(join(folder.path, "app.db"))).toEqual(Buffer.concat([9, 0, 7].map(filled)));
  await replica.close();
});

test("applying the same flush twice changes nothing", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  const flush = { deltas: [delta(2, [page(1, 1)], [1, 2]), delta(2, [page(2, 2)], [1, 2])] };
  for (let i = 0; i < 2; i++) {
    await replica.apply(flush);
    expect(replica.checksums().get("app.db")).toEqual(checksumOf([filled(1), filled(2)]));
  }
  await replica.close();
});

test("a flush whose checksum does not fit is refused, names the database, and not one byte of it is written", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  await replica.apply({ deltas: [delta(2, [page(1, 1), page(2, 2)], [1, 2])] });
  const good = delta(1, [page(1, 5)], [5], "other.db");
  const error: unknown = await replica
    .apply({ deltas: [good, delta(2, [page(2, 3)], [1, 2])] })
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ReplicaError);
  expect((error as ReplicaError).database).toBe("app.db");
  expect((error as ReplicaError).message).toContain(Buffer.from(checksumOf([filled(1), filled(2)])).toString("hex"));
  expect(readFileSync(join(folder.path, "app.db"))).toEqual(Buffer.concat([1, 2].map(filled)));
  expect(existsSync(join(folder.path, "other.db"))).toBe(false);
  await replica.close();
});

/** SQL by hand on a secondary, in a page that is not the first; over again until the file's time stamp has moved on. */
function writeByHand(path: string): void {
  const { mtimeMs } = statSync(path);
  const fd = openSync(path, "r+");
  while (fstatSync(fd).mtimeMs === mtimeMs) writeSync(fd, filled(99), 0, pageSize, pageSize);
  closeSync(fd);
}

test("a copy that another process wrote into is not handed over, and not written on", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  const path = join(folder.path, "app.db");
  await replica.load({
    name: "app.db",
    pageSize,
    pageCount: 2,
    checksum: checksumOf([filled(1), filled(2)]),
    chunks: chunks(filled(1), filled(2)),
  });
  await replica.apply({ deltas: [delta(2, [page(1, 3)], [3, 2])] });
  expect(replica.handOver().size).toBe(1);
  writeByHand(path);
  expect(() => replica.handOver()).toThrow(ReplicaError);
  await expect(replica.apply({ deltas: [delta(2, [page(1, 4)], [4, 2])] })).rejects.toThrow("app.db");
  expect(readFileSync(path).subarray(0, pageSize)).toEqual(Buffer.from(filled(3)));
  await replica.close();
});

test("a copy with another file in its place is not handed over", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  const path = join(folder.path, "app.db");
  await replica.apply({ deltas: [delta(1, [page(1, 1)], [1])] });
  copyFileSync(path, `${path}.copy`);
  utimesSync(`${path}.copy`, statSync(path).atime, statSync(path).mtime);
  renameSync(`${path}.copy`, path);
  expect(() => replica.handOver()).toThrow(ReplicaError);
  await replica.close();
});

test("deltas that cannot be right are refused", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  const short: Page = { number: 1, content: new Uint8Array(100) };
  for (const bad of [
    [delta(1, [page(2, 2)], [1])],
    [delta(1, [short], [1])],
    [delta(1, [page(1, 1)], [1], "../out.db")],
    [delta(2, [page(1, 1)], [1, 1]), delta(1, [page(1, 1)], [1])],
  ]) {
    await expect(replica.apply({ deltas: bad })).rejects.toThrow(ReplicaError);
  }
  await replica.close();
});

test("a replica that is closed writes nothing: the files belong to another owner, even a flush that has every page", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  await replica.apply({ deltas: [delta(1, [page(1, 1)], [1])] });
  await replica.close();
  await expect(replica.apply({ deltas: [delta(1, [page(1, 2)], [2])] })).rejects.toThrow("belong to another owner");
  await expect(
    replica.load({
      name: "app.db",
      pageSize,
      pageCount: 1,
      checksum: checksumOf([filled(3)]),
      chunks: chunks(filled(3)),
    }),
  ).rejects.toThrow("belong to another owner");
  expect(readFileSync(join(folder.path, "app.db"))).toEqual(Buffer.from(filled(1)));
});

test("a removal deletes the file; a removal and a new database in one flush leave only the new one", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  await replica.apply({ deltas: [delta(2, [page(1, 1), page(2, 2)], [1, 2])] });
  await replica.apply({ deltas: [delta(0, [], []), delta(3, [page(1, 8)], [8, 0, 0])] });
  expect(readFileSync(join(folder.path, "app.db"))).toEqual(Buffer.concat([8, 0, 0].map(filled)));
  await replica.apply({ deltas: [delta(0, [], [])] });
  expect(existsSync(join(folder.path, "app.db"))).toBe(false);
  expect(replica.checksums().size).toBe(0);
  await replica.close();
});

test("a load takes chunks of any size, removes what SQLite would believe beside it, and proves the checksum", async () => {
  using folder = temporaryFolder();
  const bytes = Buffer.concat([1, 2, 3, 4, 5].map(filled));
  for (const cut of [1, 100, 511, 512, 513, 2000]) {
    writeFileSync(join(folder.path, "app.db-wal"), "stale");
    const replica = await Replica.open({ root: folder.path });
    const parts = Array.from({ length: Math.ceil(bytes.byteLength / cut) }, (_, i) =>
      bytes.subarray(i * cut, (i + 1) * cut),
    );
    await replica.load({
      name: "app.db",
      pageSize,
      pageCount: 5,
      checksum: checksumOf([1, 2, 3, 4, 5].map(filled)),
      chunks: chunks(...parts),
    });
    expect(readFileSync(join(folder.path, "app.db"))).toEqual(bytes);
    expect(existsSync(join(folder.path, "app.db-wal"))).toBe(false);
    await replica.apply({ deltas: [delta(1, [page(1, 6)], [6])] });
    await replica.close();
  }
});

test("a load of other bytes, too few or too many is refused and leaves nothing", async () => {
  using folder = temporaryFolder();
  const replica = await Replica.open({ root: folder.path });
  for (const parts of [[filled(1), filled(3)], [filled(1)], [filled(1), filled(2), filled(3)]]) {
    const loading = replica.load({
      name: "app.db",
      pageSize,
      pageCount: 2,
      checksum: checksumOf([1, 2].map(filled)),
      chunks: chunks(...parts),
    });
    await expect(loading).rejects.toThrow(ReplicaError);
    expect(existsSync(join(folder.path, "app.db"))).toBe(false);
  }
  await replica.close();
});

describe("a former file", () => {
  const bytes = [1, 2, 3];
  const content = Buffer.concat(bytes.map(filled));
  const whole = (parts: AsyncIterable<Uint8Array>) => ({
    ...{ name: "app.db", pageSize, pageCount: bytes.length, checksum: checksumOf(bytes.map(filled)), chunks: parts },
    isLocal: (offset: number) => offset === 0,
  });

  /** Beside the data folder, with these pages. */
  async function former(folder: string, pages: readonly number[]) {
    const path = join(folder, "former.db");
    writeFileSync(path, Buffer.concat(pages.map(filled)), { mode: 0o644 });
    const root = join(folder, "data");
    const [replica, target] = [await Replica.open({ root, formerFile: () => path }), join(root, "app.db")];
    return { path, target, replica };
  }

  test("is taken over: what was read from it is not written, and the rest is, whatever its size", async () => {
    for (const pages of [[7], [7, 9, 9], [7, 9, 9, 9]]) {
      using folder = temporaryFolder();
      const { path, target, replica } = await former(folder.path, pages);
      const { ino } = statSync(path);
      for (const suffix of ["-wal", "-journal"]) writeFileSync(`${target}${suffix}`, "of another time");
      await replica.load(whole(chunks(...bytes.map(filled))));
      await replica.close();
      // The first page is not what it should be: this test lied about it.
      expect(readFileSync(target)).toEqual(Buffer.concat([7, 2, 3].map(filled)));
      expect(statSync(target).ino).toBe(ino);
      expect(statSync(target).mode & 0o777).toBe(0o640);
      expect([path, `${target}-wal`, `${target}-journal`].filter((file) => existsSync(file))).toEqual([]);
    }
  });

  test("keeps what it has when a load fails, for the next try", async () => {
    using folder = temporaryFolder();
    const { path, target, replica } = await former(folder.path, [1, 9, 9]);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield await Promise.resolve(Buffer.concat([1, 2].map(filled)));
      throw new Error("the vault does not answer");
    }
    await expect(replica.load({ ...whole(broken()), isLocal: () => false })).rejects.toThrow("does not answer");
    await replica.close();
    expect(existsSync(path)).toBe(false);
    expect(statSync(target).size).toBe(content.byteLength);
  });

  test("is left alone if it has another name or owner, cannot be opened, is a link, no file or not there", async () => {
    using folder = temporaryFolder();
    const isRoot = process.geteuid?.() === 0;
    const { path, target, replica } = await former(folder.path, [7, 7, 7]);
    const other = join(folder.path, "other.db");
    const ways = [
      () => linkSync(path, other),
      () => (rmSync(path), writeFileSync(path, "", { mode: 0 }), isRoot && chownSync(path, 4_321, 4_321)),
      () => (rmSync(path), symlinkSync(other, path)),
      () => (rmSync(path), mkdirSync(path)),
      () => rmSync(path, { recursive: true }),
    ];
    for (const make of ways) {
      make();
      await replica.load(whole(chunks(content)));
      expect(readFileSync(target)).toEqual(content);
      expect(readFileSync(other)).toEqual(Buffer.concat([7, 7, 7].map(filled)));
    }
    await replica.close();
  });

  test("is left alone below what is a file now: the database had the name of a folder", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "former.db");
    writeFileSync(path, "a database");
    const root = join(folder.path, "data");
    const replica = await Replica.open({ root, formerFile: () => join(path, "app.db") });
    await replica.load(whole(chunks(content)));
    await replica.close();
    expect(readFileSync(join(root, "app.db"))).toEqual(content);
    expect(readFileSync(path, "utf8")).toBe("a database");
  });

  test("is taken over to where there was a folder", async () => {
    using folder = temporaryFolder();
    const { target, replica } = await former(folder.path, [1]);
    mkdirSync(target);
    await replica.load(whole(chunks(...bytes.map(filled))));
    await replica.close();
    expect(readFileSync(target)).toEqual(content);
  });

  const other = 65_534;
  test.skipIf(process.geteuid?.() !== 0)(
    "is left alone if this process may not write to it, or may not give it its mode",
    async () => {
      using folder = temporaryFolder();
      const { path, target, replica } = await former(folder.path, [7, 7, 7]);
      for (const place of [folder.path, dirname(target)]) chownSync(place, other, other);
      const ways = [
        { uid: other, mode: 0o444 },
        { uid: other, mode: 0o200 },
        { uid: other + 1, mode: 0o666 },
      ];
      process.seteuid?.(other);
      try {
        for (const { uid, mode } of ways) {
          process.seteuid?.(0);
          chownSync(path, uid, other);
          chmodSync(path, mode);
          process.seteuid?.(other);
          await replica.load(whole(chunks(content)));
          expect(readFileSync(target)).toEqual(content);
        }
        await replica.close();
      } finally {
        process.seteuid?.(0);
      }
      expect(readFileSync(path)).toEqual(Buffer.concat([7, 7, 7].map(filled)));
    },
  );

  test("that another process changes while it is loaded is refused", async () => {
    for (const at of [0, 1, 2]) {
      using folder = temporaryFolder();
      const { target, replica } = await former(folder.path, [1, 2, 9]);
      async function* disturbed(): AsyncGenerator<Uint8Array> {
        for (const [index, byte] of bytes.entries()) {
          yield await Promise.resolve(filled(byte));
          if (index !== at) continue;
          await Bun.sleep(30);
          const fd = openSync(target, "r+");
          writeSync(fd, filled(8), 0, pageSize, 0);
          closeSync(fd);
        }
      }
      const loading = replica.load({ ...whole(disturbed()), isLocal: (offset: number) => offset < 2 * pageSize });
      await expect(loading).rejects.toMatchObject({ name: "ReplicaError", kind: "foreign" });
      await replica.close();
      expect(existsSync(target)).toBe(false);
    }
  });

  const memory = "/dev/shm";
  test.skipIf(!existsSync(memory))("is left alone on another file system", async () => {
    using folder = temporaryFolder();
    const path = join(mkdtempSync(join(memory, "stead-former-")), "app.db");
    try {
      writeFileSync(path, "elsewhere");
      const replica = await Replica.open({ root: folder.path, formerFile: () => path });
      await replica.load(whole(chunks(content)));
      await replica.close();
      expect(readFileSync(join(folder.path, "app.db"))).toEqual(content);
      expect(readFileSync(path, "utf8")).toBe("elsewhere");
    } finally {
      rmSync(dirname(path), { recursive: true });
    }
  });
});

test("the table's checksum equals the definition's through random changes, and a predicted checksum is the later one", () => {
  const table = new PageHashes(pageSize);
  let contents: Uint8Array[] = [];
  let state = 7;
  const random = (below: number): number => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) % below;
  for (let round = 0; round < 200; round++) {
    const pageCount = random(40);
    contents = Array.from({ length: pageCount }, (_, i) => contents[i] ?? filled(0));
    const hashes = new Map<number, Uint8Array>();
    for (let i = 0; i < random(5) && pageCount > 0; i++) {
      const at = random(pageCount);
      contents[at] = filled(random(256));
      hashes.set(at + 1, hashPage(at + 1, contents[at] ?? filled(0)));
    }
    const predicted = table.checksumWith(pageCount, hashes);
    table.change(pageCount, hashes);
    expect(table.checksum()).toEqual(predicted);
    expect(predicted).toEqual(checksumOf(contents));
  }
});

test("the lock page is the one at 1 GiB", () => {
  expect(lockPage(4096)).toBe(262_145);
  expect(lockPage(65_536)).toBe(16_385);
});
