import { describe, expect, test } from "bun:test";
import {
  type CheckpointManifest,
  listCheckpoints,
  newestCheckpoint,
  readChunk,
  startOf,
  writeCheckpoint,
  type WrittenCheckpoint,
} from "../../../src/vault/checkpoint/checkpoint.ts";
import { CheckpointPace, type ChunkPace } from "../../../src/vault/checkpoint/checkpoint-pace.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { DamagedManifestError } from "../../../src/vault/errors.ts";
import { checkpointKey } from "../../../src/vault/keys.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { genesisHash } from "../../../src/vault/log/record-codec.ts";
import { StoreError, type Store } from "../../../src/vault/store/store.ts";
import { PageDatabase, restore } from "../../support/vault/checkpoint-fixture.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { failureOf, JumpingClock } from "../../support/vault/log-fixture.ts";
import { makeTemporaryVault } from "../../support/vault/temporary-vault.ts";

function write(
  store: Store,
  position: number,
  databases: readonly PageDatabase[],
  base?: CheckpointManifest,
): Promise<WrittenCheckpoint> {
  const hash = position === 0 ? genesisHash : "ab".repeat(32);
  return writeCheckpoint({
    store,
    position,
    hash,
    epoch: position === 0 ? 0 : 1,
    wallTimeMs: 1_700_000_000_000 + position,
    databases,
    base,
  });
}

const flip = (store: MemoryStore, key: string, bytes: Uint8Array, at: number): void => {
  const flipped = new Uint8Array(bytes);
  flipped[at] = (flipped[at] ?? 0) ^ 0x10;
  store.overwrite(key, flipped);
};

describe("a checkpoint", () => {
  test("reads small databases first, and releases each when it is read", async () => {
    const told: string[] = [];
    const databases = [
      new PageDatabase("large.db", 700),
      new PageDatabase("small.db", 1),
      new PageDatabase("no.db", 0),
    ];
    const watched = databases.map((database) => ({
      ...{ name: database.name, pageSize: database.pageSize, pageCount: database.pageCount },
      checksum: database.checksum,
      read: (offset: number, length: number) => {
        told.push(`read ${database.name}`);
        return database.read(offset, length);
      },
      release: () => void told.push(`release ${database.name}`),
    }));
    const { manifest } = await writeCheckpoint({
      ...{ store: new MemoryStore(), position: 5, hash: "ab".repeat(32), epoch: 1, wallTimeMs: 0, concurrency: 1 },
      databases: watched,
    });
    const large = Array.from({ length: 3 }, () => "read large.db");
    expect(told).toEqual(["release no.db", "read small.db", "release small.db", ...large, "release large.db"]);
    expect(manifest.databases.map(({ name }) => name)).toEqual(["large.db", "small.db", "no.db"]);
  });

  test("restores every database byte by byte, of any size, and the position at which the log continues", async () => {
    const vault = await makeTemporaryVault();
    try {
      const databases = [
        new PageDatabase("app.db", 700),
        new PageDatabase("data/small.db", 1, 512),
        new PageDatabase("exact.db", 256),
        new PageDatabase("empty.db", 0),
      ];
      const { chunksWritten, chunksReused } = await write(vault.store, 5, databases);
      expect([chunksWritten, chunksReused]).toEqual([5, 0]);
      const manifest = (await newestCheckpoint(vault.store)) as CheckpointManifest;
      expect(startOf(manifest)).toEqual({ position: 5, hash: "ab".repeat(32), epoch: 1 });
      for (const database of databases) {
        expect(Buffer.from(await restore(vault.store, manifest, database.name)).equals(database.bytes)).toBe(true);
        expect(manifest.databases.find(({ name }) => name === database.name)).toMatchObject({
          pageSize: database.pageSize,
          pageCount: database.pageCount,
          checksum: database.checksum,
        });
      }
    } finally {
      await vault.dispose();
    }
  });

  test("does not exist in an empty vault, and may hold no database at all", async () => {
    const store = new MemoryStore();
    expect(await newestCheckpoint(store)).toBeUndefined();
    await write(store, 0, []);
    expect(await newestCheckpoint(store)).toMatchObject({ position: 0, databases: [], previous: null });
  });

  test("writes only the chunks that changed, whichever base it is told, and links to the one before", async () => {
    const store = new MemoryStore();
    const database = new PageDatabase("app.db", 1024);
    const first = await write(store, 0, [database]);
    database.stamp(300, 9);
    const second = await write(store, 10, [database], first.manifest);
    expect([second.chunksWritten, second.chunksReused]).toEqual([1, 3]);
    database.stamp(1, 77);
    const third = await write(store, 20, [database], first.manifest);
    expect([third.chunksWritten, third.chunksReused]).toEqual([1, 3]);
    expect(third.manifest.previous).toEqual({ position: 10, manifestHash: second.manifest.manifestHash });
    expect(third.manifest.databases[0]?.chunks.map((key) => Number(key.split("/")[1]))).toEqual([20, 10, 0, 0]);
    expect(Buffer.from(await restore(store, third.manifest, "app.db")).equals(database.bytes)).toBe(true);
  });

  test("is made once: it is refused at or before an existing one, and of two at the same position one wins", async () => {
    const store = new MemoryStore();
    const [one, other] = [new PageDatabase("app.db", 3), new PageDatabase("app.db", 4)];
    const outcomes = await Promise.allSettled([write(store, 0, [one]), write(store, 0, [other])]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const manifest = (await newestCheckpoint(store)) as CheckpointManifest;
    const winner = outcomes[0].status === "fulfilled" ? one : other;
    expect(Buffer.from(await restore(store, manifest, "app.db")).equals(winner.bytes)).toBe(true);
    await write(store, 10, [one]);
    expect(await failureOf(write(store, 10, [one]))).toMatchObject({
      kind: "checkpoint-exists",
      position: 10,
      existing: 10,
    });
    expect(await failureOf(write(store, 4, [one]))).toMatchObject({
      kind: "checkpoint-exists",
      position: 4,
      existing: 10,
    });
  });

  test("announces nothing when it fails or is stopped anywhere in the middle, and the next one succeeds", async () => {
    for (let failAt = 0; failAt < 5; failAt += 1) {
      const inner = new MemoryStore();
      const store = new FaultyStore(inner);
      const database = new PageDatabase("app.db", 1024);
      store.failPuts(...Array<"none">(failAt).fill("none"), "unavailable");
      expect(await failureOf(write(store, 7, [database]))).toBeInstanceOf(StoreError);
      expect(await listCheckpoints(inner)).toEqual([]);
      await write(store, 8, [database]);
      expect(
        Buffer.from(await restore(inner, (await newestCheckpoint(inner)) as CheckpointManifest, "app.db")).equals(
          database.bytes,
        ),
      ).toBe(true);
    }
    const stop = new AbortController();
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    store.beforePut = (): Promise<void> => Promise.resolve(stop.abort(new Error("stopped")));
    const options = {
      store,
      position: 7,
      hash: "ab".repeat(32),
      epoch: 1,
      wallTimeMs: 0,
      databases: [new PageDatabase("app.db", 1024)],
      signal: stop.signal,
    };
    expect(await failureOf(writeCheckpoint(options))).toEqual(new Error("stopped"));
    expect(await listCheckpoints(inner)).toEqual([]);
  });

  test("puts its manifest last", async () => {
    const store = new FaultyStore(new MemoryStore());
    await write(store, 7, [new PageDatabase("app.db", 2000)]);
    expect(store.puts.at(-1)).toBe(checkpointKey(7));
    expect(store.puts.filter((key) => key.startsWith("checkpoints/"))).toHaveLength(1);
  });

  test("is found when the reply to its manifest was lost, and is not when the request was lost", async () => {
    for (const fault of ["lost-reply", "lost-request"] as const) {
      const store = new FaultyStore(new MemoryStore());
      store.failPuts("none", fault);
      const result = write(store, 7, [new PageDatabase("app.db", 2)]);
      if (fault === "lost-reply") expect((await result).manifest.position).toBe(7);
      else expect(await failureOf(result)).toMatchObject({ kind: "ambiguous" });
    }
  });

  test("detects at once that the vault does not keep what was put", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    store.beforeGet = async (key): Promise<void> => {
      const bytes = await inner.get(key);
      if (key.startsWith("chunks/") && bytes !== undefined) flip(inner, key, bytes, bytes.length - 1);
    };
    expect(await failureOf(write(store, 7, [new PageDatabase("app.db", 2)]))).toMatchObject({ kind: "damaged-chunk" });
    expect(await listCheckpoints(inner)).toEqual([]);
  });
});

describe("a damaged checkpoint", () => {
  test("is refused by its manifest with any byte flipped, and the error names it", async () => {
    const store = new MemoryStore();
    await write(store, 3, [new PageDatabase("app.db", 2)]);
    const whole = (await store.get(checkpointKey(3))) as Uint8Array;
    for (let at = 0; at < whole.length; at += 1) {
      flip(store, checkpointKey(3), whole, at);
      const failure = await failureOf(newestCheckpoint(store));
      expect(failure).toBeInstanceOf(DamagedManifestError);
      expect(failure).toMatchObject({ key: checkpointKey(3), position: 3 });
    }
    store.overwrite(checkpointKey(3), whole.subarray(0, whole.length - 1));
    expect(await failureOf(newestCheckpoint(store))).toBeInstanceOf(DamagedManifestError);
  });

  test("is refused by its chunk with any byte flipped or missing, compressed or not, and the error names chunk and database", async () => {
    for (const compression of [noCompression, undefined]) {
      const store = new MemoryStore();
      const options = {
        store,
        position: 3,
        hash: "ab".repeat(32),
        epoch: 1,
        wallTimeMs: 0,
        databases: [new PageDatabase("app.db", 1, 512)],
      };
      const { manifest } = await writeCheckpoint(compression === undefined ? options : { ...options, compression });
      const key = manifest.databases[0]?.chunks[0] ?? "";
      const whole = (await store.get(key)) as Uint8Array;
      const content = await readChunk(store, manifest, "app.db", 0);
      for (let at = 0; at < whole.length; at += 1) {
        flip(store, key, whole, at);
        const outcome: unknown = await readChunk(store, manifest, "app.db", 0).catch((error: unknown) => error);
        // A compressed stream has bits that mean nothing: the content is what counts, and it is never another one.
        if (outcome instanceof Uint8Array) expect(outcome).toEqual(content);
        else expect(outcome).toMatchObject({ key, kind: at === 4 || at === 5 ? expect.any(String) : "damaged-chunk" });
        if (compression === noCompression || at < 12) expect(outcome).not.toBeInstanceOf(Uint8Array);
      }
      store.overwrite(key, whole.subarray(0, whole.length - 1));
      expect(await failureOf(readChunk(store, manifest, "app.db", 0))).toMatchObject({ key, database: "app.db" });
      await store.delete(key);
      expect(await failureOf(readChunk(store, manifest, "app.db", 0))).toMatchObject({
        key,
        database: "app.db",
        found: expect.stringContaining("is damaged: nothing"),
      });
    }
  });

  test("is mended by the next one: a missing chunk is written again", async () => {
    const store = new MemoryStore();
    const database = new PageDatabase("app.db", 1024);
    const { manifest } = await write(store, 0, [database]);
    await store.delete(manifest.databases[0]?.chunks[2] ?? "");
    const next = await write(store, 5, [database]);
    expect(next.chunksWritten).toBe(1);
    expect(Buffer.from(await restore(store, next.manifest, "app.db")).equals(database.bytes)).toBe(true);
  });

  test("does not spread: silent decay of reused chunks is found and mended within a bounded number of checkpoints", async () => {
    const store = new MemoryStore();
    const database = new PageDatabase("app.db", 32 * 256);
    let { manifest } = await write(store, 0, [database]);
    for (const key of manifest.databases[0]?.chunks ?? []) flip(store, key, (await store.get(key)) as Uint8Array, 20);
    for (let position = 1; position <= 16; position += 1)
      manifest = (await write(store, position, [database])).manifest;
    expect(Buffer.from(await restore(store, manifest, "app.db")).equals(database.bytes)).toBe(true);
  });

  test("with a damaged manifest is not used as a base: the next one writes every chunk, and links to the last whole one", async () => {
    const store = new MemoryStore();
    const database = new PageDatabase("app.db", 600);
    const first = await write(store, 0, [database]);
    await write(store, 5, [database]);
    flip(store, checkpointKey(5), (await store.get(checkpointKey(5))) as Uint8Array, 30);
    const third = await write(store, 9, [database]);
    expect([third.chunksWritten, third.chunksReused]).toEqual([3, 0]);
    expect(third.manifest.previous).toEqual({ position: 0, manifestHash: first.manifest.manifestHash });
  });
});

describe("a pace", () => {
  interface Paced {
    readonly clock: JumpingClock;
    readonly pace: CheckpointPace;
    isBusy: boolean;
  }

  function paced(share: number, lanes: number): Paced {
    const clock = new JumpingClock();
    const it: { isBusy: boolean; clock: JumpingClock; pace?: CheckpointPace } = { isBusy: true, clock };
    const pace = new CheckpointPace({ clock, share, lanes, isBusy: () => it.isBusy });
    return Object.assign(it, { pace });
  }

  test("leaves the vault alone for its part of the time while others are busy", async () => {
    const { clock, pace } = paced(0.25, 4);
    const starts: number[] = [];
    const chunk = (): Promise<void> => {
      starts.push(clock.time);
      clock.time += 10;
      return Promise.resolve();
    };
    await Promise.all([pace.run(chunk), pace.run(chunk), pace.run(chunk)]);
    expect(starts).toEqual([1000, 1040, 1080]);
  });

  test("takes as many chunks at a time as there are lanes, without a pause, while no others are busy", async () => {
    const it = paced(0.25, 3);
    it.isBusy = false;
    const { clock, pace } = it;
    const startedAt = clock.time;
    const ends: (() => void)[] = [];
    const chunk = (): Promise<void> => new Promise((resolve) => void ends.push(resolve));
    const all = Array.from({ length: 5 }, () => pace.run(chunk));
    await Promise.resolve();
    expect(ends.length).toBe(3);
    // Others come: those in progress end, and only one follows.
    it.isBusy = true;
    for (const end of ends.splice(0)) end();
    await settled();
    expect(ends.length).toBe(1);
    // Others are gone: all that wait begin with the end of that one.
    it.isBusy = false;
    ends.pop()?.();
    await settled();
    expect(ends.length).toBe(1);
    ends.pop()?.();
    await Promise.all(all);
    expect(clock.time).toBe(startedAt);
  });

  test("continues after a chunk that failed", async () => {
    const { pace } = paced(0.5, 1);
    await expect(pace.run(() => Promise.reject(new Error("no space")))).rejects.toThrow("no space");
    expect(await pace.run(() => Promise.resolve(7))).toBe(7);
  });

  test("refuses a share that would never end", () => {
    for (const share of [0, -1, 1.1, Number.NaN]) expect(() => paced(share, 1)).toThrow(RangeError);
  });

  test("is asked for each chunk", async () => {
    let asked = 0;
    const pace: ChunkPace = {
      run: (work) => {
        asked += 1;
        return work();
      },
    };
    await writeCheckpoint({
      store: new MemoryStore(),
      position: 1,
      hash: "ab".repeat(32),
      epoch: 1,
      wallTimeMs: 0,
      databases: [new PageDatabase("app.db", 600)],
      pace,
    });
    expect(asked).toBe(3);
  });
});

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

test("a database whose checksum has not changed is not read again, and its damaged chunks are still mended", async () => {
  const store = new MemoryStore();
  const content = Buffer.alloc(4096 * 600, 5);
  let reads = 0;
  const database = {
    name: "a.db",
    pageSize: 4096,
    pageCount: 600,
    checksum: Buffer.alloc(16, 1),
    read: (offset: number, length: number) => {
      reads += 1;
      return Promise.resolve(new Uint8Array(content.subarray(offset, offset + length)));
    },
  };
  const write = (position: number) =>
    writeCheckpoint({ store, position, hash: "0".repeat(64), epoch: 1, wallTimeMs: 0, databases: [database] });
  const first = await write(5);
  const readsAtFirst = reads;
  const second = await write(6);
  expect(reads).toBe(readsAtFirst);
  expect(second.manifest.databases[0]?.chunks).toEqual(first.manifest.databases[0]?.chunks ?? []);
  for (const key of await store.list("chunks/")) await store.delete(key);
  const third = await write(7);
  expect(third.chunksWritten).toBeGreaterThan(0);
  expect(reads).toBeGreaterThan(readsAtFirst);
});
