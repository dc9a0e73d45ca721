import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checksumOfPages } from "../../../src/capture/page-hashes.ts";
import { FolderInUseError, restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import { RestorePointReader } from "../../../src/host/secondary/restore-points.ts";
import { EmptyVaultError } from "../../../src/host/secondary/restorer.ts";
import { LittleRoomError, type Moment, MomentError } from "../../../src/host/secondary/state-at.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { DamagedChunkError } from "../../../src/vault/errors.ts";
import { checkpointKey, chunkPrefix } from "../../../src/vault/keys.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { canMount, withMount } from "../../e2e/mounts.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { logIn, Pages, ports, readerFromStart, zeros } from "../../support/host/log-fixture.ts";

let root = "";
let store: MemoryStore;
let pages: Pages;
let writer: LogWriter;
let wallTimeMs: number;
const warnings: string[] = [];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "stead-moment-"));
  warnings.length = 0;
  store = new MemoryStore();
  pages = new Pages("a.db");
  wallTimeMs = 1_000;
  pages.change({ 1: 1 });
  await checkpoint(0, zeros);
  const clock = { ...systemClock, now: () => systemClock.now(), wallTime: () => wallTimeMs };
  const reader = readerFromStart(store);
  while ((await reader.next()) !== undefined);
  const claimed = await LogWriter.claim({
    ...ports,
    clock,
    reader,
    host: "b",
    leaseMs: 1_000,
    controlUrl: "http://127.0.0.1:9",
    instance: "b-1",
  });
  if (claimed.kind !== "claimed") throw new Error(claimed.kind);
  writer = claimed.writer;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const checkpoint = (position: number, hash: string) =>
  writeCheckpoint({
    store,
    position,
    hash,
    epoch: position === 0 ? 0 : 1,
    epochPosition: position === 0 ? 0 : 1,
    wallTimeMs,
    databases: [pages.snapshot()],
  });

/** Commits at the next full second; gives the whole database as it is then. */
async function commit(fill: number, parts = 1): Promise<{ position: number; hash: string; content: string }> {
  wallTimeMs += 1_000;
  const delta = pages.change({ 1: fill, 2: fill });
  for (let part = 1; part <= parts; part++)
    await writer.append({
      kind: "commit",
      part,
      parts,
      databases: part === parts ? [delta] : [{ ...delta, pages: [] }],
    });
  return { position: writer.position, hash: writer.hash, content: Buffer.concat(pages.contents).toString("hex") };
}

const into = (name: string) => join(root, name);
const restore = (moment: Moment, name = "out") =>
  restoreMoment({ store, log: logIn(store), moment, folder: into(name), onWarning: (text) => warnings.push(text) });
const contentOf = (name = "out") => readFileSync(join(into(name), "a.db")).toString("hex");

test("every position gives the databases as they were then, whichever checkpoint it is built on", async () => {
  const states = [await commit(2), await commit(3)];
  await checkpoint(writer.position, writer.hash);
  states.push(await commit(4), await commit(5));
  for (const { position, content } of states) {
    const restored = await restore({ kind: "position", position }, `at-${position}`);
    expect({ position: restored.position, content: contentOf(`at-${position}`) }).toEqual({ position, content });
    expect(restored.checkpoint).toBe(position >= (states[1]?.position ?? 0) ? (states[1]?.position ?? 0) : 0);
  }
});

test("a checkpoint below the boundary is one moment; one between two of them is refused, and both are named", async () => {
  const first = await commit(2); // at 2 s
  await checkpoint(first.position, first.hash);
  await commit(3);
  const second = await commit(4); // at 4 s
  await checkpoint(second.position, second.hash);
  await commit(5);
  const third = await commit(6); // at 6 s
  await checkpoint(third.position, third.hash);
  await logIn(store).removeUpTo(third.position);
  expect(await restore({ kind: "position", position: first.position }, "exact")).toMatchObject({
    ...{ position: first.position, epoch: 1, wallTimeMs: 2_000, checkpoint: first.position },
  });
  expect(contentOf("exact")).toBe(first.content);
  expect(await restore({ kind: "time", wallTimeMs: 4_000 }, "time")).toMatchObject({ position: second.position });
  expect(contentOf("time")).toBe(second.content);
  for (const moment of [
    { kind: "time", wallTimeMs: 3_000 },
    { kind: "position", position: first.position + 1 },
  ] as const) {
    const error = await failureOf(restore(moment));
    expect(error).toBeInstanceOf(MomentError);
    expect((error as MomentError).message).toContain(
      `from position ${third.position} (1970-01-01T00:00:06.000Z) on; exactly position ${first.position} (1970-01-01T00:00:02.000Z) or position ${second.position} (1970-01-01T00:00:04.000Z), where a checkpoint is kept without the log after it`,
    );
  }
  // The newest one is damaged: none of the others leads to the end of the log.
  store.overwrite(checkpointKey(third.position), Buffer.from("not a manifest"));
  expect(await failureOf(restore({ kind: "newest" }))).toMatchObject({ kind: "damaged-manifest" });
});

test("a time gives the last state that is not later, and no moment the newest", async () => {
  const first = await commit(2); // at 2 s
  const second = await commit(3); // at 3 s
  expect(await restore({ kind: "time", wallTimeMs: 2_999 })).toMatchObject({
    position: first.position,
    wallTimeMs: 2_000,
  });
  expect(contentOf()).toBe(first.content);
  expect(await restore({ kind: "newest" }, "new")).toMatchObject({ position: second.position, epoch: 1 });
  expect(contentOf("new")).toBe(second.content);
});

test("the first moment that a host tells is the first one that is restored", async () => {
  wallTimeMs = 5_000;
  await commit(2);
  const reader = new RestorePointReader({
    ...{ store, vaultLog: logIn(store), clock: systemClock, newest: () => undefined },
    policy: () => ({ checkpointsMin: 1, windowMs: 0 }),
  });
  const { earliest } = await reader.read();
  const firstMs = earliest?.wallTimeMs ?? 0;
  expect((await restore({ kind: "time", wallTimeMs: firstMs })).wallTimeMs).toBe(firstMs);
  expect(await failureOf(restore({ kind: "time", wallTimeMs: firstMs - 1 }, "before"))).toBeInstanceOf(MomentError);
});

test("a transaction that is larger than what is kept in memory waits in a file for its last part, and nothing of that file is left", async () => {
  const [large, count] = [65_536, 320];
  const content = new Uint8Array(large * count).map((_, i) => Math.imul(i, 2_654_435_761) >>> 24);
  const parts = Array.from({ length: 4 }, (_, part) =>
    Array.from({ length: count / 4 }, (__, i) => (part * count) / 4 + i + 1),
  );
  for (const [at, numbers] of parts.entries()) {
    const checksum = at === 3 ? checksumOfPages(large, 1, content) : new Uint8Array(16);
    const pages = numbers.map((number) => ({
      number,
      content: content.subarray((number - 1) * large, number * large),
    }));
    await writer.append({
      kind: "commit",
      part: at + 1,
      parts: 4,
      databases: [{ name: "b.db", pageSize: large, pageCount: count, checksum, pages }],
    });
  }
  await restore({ kind: "newest" });
  expect(Buffer.compare(readFileSync(join(into("out"), "b.db")), content)).toBe(0);
  expect(readdirSync(root)).toEqual(["out"]);
  const disk = {
    free: () => Promise.resolve(5_000_000),
    device: (folder: string) => Promise.resolve(existsSync(folder) ? 1 : undefined),
  };
  expect(
    await failureOf(
      restoreMoment({
        store,
        log: logIn(store),
        moment: { kind: "newest" },
        folder: into("full"),
        onWarning: () => undefined,
        disk,
      }),
    ),
  ).toBeInstanceOf(LittleRoomError);
  expect(readdirSync(root)).toEqual(["out"]);
});

test("a disk without room for the databases is told before anything is written there, also when only the journal makes them too large", async () => {
  await commit(2);
  const size = Buffer.from((await commit(3)).content, "hex").byteLength;
  const into = (free: number) => {
    const written = () =>
      readdirSync(root, { recursive: true, withFileTypes: true }).reduce(
        (sum, entry) => sum + (entry.isFile() ? statSync(join(entry.parentPath, entry.name)).size : 0),
        0,
      );
    const disk = {
      free: () => Promise.resolve(free - written()),
      device: (folder: string) => Promise.resolve(existsSync(folder) ? 1 : undefined),
    };
    return restoreMoment({
      store,
      log: logIn(store),
      moment: { kind: "newest" },
      folder: join(root, "out"),
      onWarning: () => undefined,
      disk,
    });
  };
  for (const free of [10, size / 2]) {
    const error = await failureOf(into(free));
    expect(error).toBeInstanceOf(LittleRoomError);
    expect(error).toMatchObject({
      found: `${free} bytes are free on the disk at /`,
      accepted: expect.stringContaining(`${free === 10 ? size / 2 : size} bytes or more`),
      advice: expect.stringContaining("name a folder on another disk"),
    });
    expect(readdirSync(root)).toEqual([]);
  }
  expect((await into(size)).databases).toMatchObject([{ bytes: size }]);
});

test.if(canMount)(
  "a folder that is a mount point, with what the file system itself keeps there, gets the databases",
  async () => {
    const { content } = await commit(2);
    mkdirSync(into("out"));
    await withMount(into("out"), "small", async () => {
      mkdirSync(join(into("out"), "lost+found"));
      await restore({ kind: "newest" });
      expect([contentOf(), readdirSync(into("out")).toSorted()]).toEqual([content, ["a.db", "lost+found"]]);
      expect(await failureOf(restore({ kind: "newest" }))).toBeInstanceOf(FolderInUseError);
    });
  },
);

test("a position inside a flush of several parts gives the state before it", async () => {
  const before = await commit(2);
  const flush = await commit(3, 3);
  expect((await restore({ kind: "position", position: flush.position - 1 })).position).toBe(before.position);
  expect(contentOf()).toBe(before.content);
});

test("a moment that the vault does not have is refused with what it has, and nothing is left behind", async () => {
  await commit(2);
  const future = await failureOf(restore({ kind: "position", position: 99 }));
  expect(future).toBeInstanceOf(MomentError);
  expect((future as MomentError).accepted).toContain("up to 2, the end of the log");
  const past = await failureOf(restore({ kind: "time", wallTimeMs: 10 }));
  expect(past).toBeInstanceOf(MomentError);
  expect((past as MomentError).accepted).toContain("from position 0 (1970-01-01T00:00:01.000Z) on");
  expect(readdirSync(root)).toEqual([]);
});

test("a folder that does not exist is made, with those above it", async () => {
  await restore({ kind: "newest" }, "deep/er");
  expect(readdirSync(into("deep/er"))).toEqual(["a.db"]);
  expect(readdirSync(into("deep"))).toEqual(["er"]);
});

test("a folder with something in it is refused, an empty one is used", async () => {
  mkdirSync(into("full"));
  writeFileSync(join(into("full"), "mine"), "");
  expect(await failureOf(restore({ kind: "newest" }, "full"))).toBeInstanceOf(FolderInUseError);
  expect(readdirSync(into("full"))).toEqual(["mine"]);
  mkdirSync(into("empty"));
  await restore({ kind: "newest" }, "empty");
  expect(existsSync(join(into("empty"), "a.db"))).toBe(true);
});

test("a damaged checkpoint leads to an older one, and is told; damage of the only one is the error", async () => {
  await commit(2);
  await checkpoint(writer.position, writer.hash);
  const last = await commit(3);
  const chunks = await store.list(chunkPrefix);
  const newest = chunks.at(-1) ?? "";
  await damage(newest);
  const restored = await restore({ kind: "newest" });
  expect(restored).toMatchObject({ position: last.position, checkpoint: 0 });
  expect(contentOf()).toBe(last.content);
  expect(warnings).toContain("the checkpoint at position 0 is used instead");
  for (const key of chunks) if (key !== newest) await damage(key);
  expect(await failureOf(restore({ kind: "newest" }, "none"))).toBeInstanceOf(DamagedChunkError);
});

test("an empty vault says so", async () => {
  store = new MemoryStore();
  expect(await failureOf(restore({ kind: "newest" }))).toBeInstanceOf(EmptyVaultError);
});

async function damage(key: string): Promise<void> {
  const bytes = Uint8Array.from((await store.get(key)) ?? []);
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await store.delete(key);
  await store.putIfAbsent(key, bytes);
}
