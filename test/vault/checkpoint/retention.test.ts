import { describe, expect, test } from "bun:test";
import type { HistoryRule } from "../../../src/core/checkpoint-history.ts";
import type { RetentionPolicy } from "../../../src/core/retention.ts";
import { allRules, withoutRule } from "../../../src/core/rules.ts";
import {
  type CheckpointManifest,
  listCheckpoints,
  newestCheckpoint,
  readManifest,
  startOf,
  writeCheckpoint,
} from "../../../src/vault/checkpoint/checkpoint.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { logKey } from "../../../src/vault/log/log-key.ts";
import { boundaryEntriesKept } from "../../../src/vault/limits.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type Collected, type CollectOptions, collectGarbage } from "../../../src/vault/checkpoint/retention.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { PageDatabase, restore } from "../../support/vault/checkpoint-fixture.ts";
import { failureOf, logIn, makeHost, readerOf, readToEnd, seededRandom } from "../../support/vault/log-fixture.ts";

const pages = 3 * 128;
const pageSize = 8192;

/** A primary and the databases it has: writes pages, makes checkpoints, announces them, cleans up. */
class Primary {
  readonly store: Store;
  readonly writer: LogWriter;
  readonly database: PageDatabase;
  newest: CheckpointManifest;

  constructor(store: Store, writer: LogWriter, database: PageDatabase, newest: CheckpointManifest) {
    this.store = store;
    this.writer = writer;
    this.database = database;
    this.newest = newest;
  }

  async write(page: number, value: number): Promise<void> {
    this.database.stamp(page, value);
    const content = await this.database.read((page - 1) * pageSize, pageSize);
    const database = {
      name: "app.db",
      pageSize,
      pageCount: pages,
      checksum: this.database.checksum,
      pages: [{ number: page, content }],
    };
    await this.writer.append({ kind: "commit", part: 1, parts: 1, databases: [database] });
  }

  async checkpoint(wallTimeMs: number, history: readonly HistoryRule[] = []): Promise<CheckpointManifest> {
    const { position, hash, epoch } = this.writer;
    const written = await writeCheckpoint({
      store: this.store,
      position,
      hash,
      epoch,
      wallTimeMs,
      history,
      databases: [this.database],
      compression: noCompression,
    });
    return written.manifest;
  }

  async announce(manifest: CheckpointManifest): Promise<void> {
    await this.writer.append({
      kind: "checkpoint",
      checkpointPosition: manifest.position,
      manifestHash: manifest.manifestHash,
    });
    this.newest = manifest;
  }

  collect(policy: RetentionPolicy, nowMs: number, more: Partial<CollectOptions> = {}): Promise<Collected> {
    const base = {
      store: this.store,
      log: logIn(more.store ?? this.store),
      newest: this.newest,
      logPosition: this.writer.position,
      policy,
      nowMs,
      rules: allRules,
      noEpochAfter: this.writer.claimPosition,
    };
    return collectGarbage({ ...base, ...more });
  }
}

async function bootstrap(store: Store, host = "a"): Promise<Primary> {
  const database = new PageDatabase("app.db", pages, pageSize);
  const start = {
    store,
    position: 0,
    hash: "0".repeat(64),
    epoch: 0,
    wallTimeMs: 0,
    databases: [database],
    compression: noCompression,
  };
  const { manifest } = await writeCheckpoint(start);
  return new Primary(store, await makeHost(host, store).lead(), database, manifest);
}

/** Restores a checkpoint and applies the journal after it: what a new host would have. */
async function rebuild(
  store: Store,
  manifest: CheckpointManifest,
): Promise<{ database: Uint8Array; position: number }> {
  const database = Buffer.from(await restore(store, manifest, "app.db"));
  const reader = readerOf(store, startOf(manifest));
  for (const { body } of await readToEnd(reader)) {
    if (body.kind !== "commit") continue;
    for (const delta of body.databases)
      for (const page of delta.pages) database.set(page.content, (page.number - 1) * pageSize);
  }
  return { database, position: reader.position };
}

async function takeOver(store: Store, host: string, seed: number): Promise<Primary> {
  const manifest = await newestCheckpoint(store);
  if (manifest === undefined) throw new Error("no checkpoint");
  const { database: bytes } = await rebuild(store, manifest);
  const database = new PageDatabase("app.db", pages, pageSize);
  database.bytes.set(bytes);
  const follower = makeHost(host, store, { start: startOf(manifest), seed });
  let newest = manifest;
  for (const { body } of await readToEnd(follower.reader)) {
    if (body.kind !== "checkpoint") continue;
    newest = (await readManifest(store, body.checkpointPosition)) ?? newest;
  }
  return new Primary(store, await follower.lead(), database, newest);
}

describe("clean-up", () => {
  test("removes the journal before the oldest checkpoint that is kept, its manifest and its chunks; claims stay", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    for (let round = 1; round <= 3; round += 1) {
      for (let page = 1; page <= 5; page += 1) await primary.write(page, round * 100 + page);
      await primary.announce(await primary.checkpoint(round * 1000));
    }
    const oldChunk = primary.newest.databases[0]?.chunks[0] ?? "";
    const collected = await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000);
    expect(collected.plan).toMatchObject({ boundary: 18, kept: [18], removed: [0, 6, 12] });
    expect(await store.list("log/")).toEqual([logKey(1), logKey(19)]);
    expect(await listCheckpoints(store)).toEqual([18]);
    expect(await logIn(store).boundary()).toBe(18);
    expect((await store.list("chunks/")).map((key) => Number(key.split("/")[1]))).toEqual([0, 0, 18]);
    expect(await store.get(oldChunk)).toBeDefined();
    expect(Buffer.from((await rebuild(store, primary.newest)).database).equals(primary.database.bytes)).toBe(true);
  });

  test("keeps older checkpoints by rules, each whole, over many terms; the log goes as without them", async () => {
    const [store, hourMs] = [new MemoryStore(), 3_600_000];
    const history = [
      { everyMs: 2 * hourMs, forMs: 6 * hourMs },
      { everyMs: 8 * hourMs, forMs: 16 * hourMs },
    ];
    const policy = { checkpointsMin: 1, windowMs: hourMs, history };
    const contents = new Map<number, Buffer>();
    let primary = await bootstrap(store);
    contents.set(0, Buffer.from(primary.database.bytes));
    for (let hour = 1; hour <= 32; hour += 1) {
      if (hour % 10 === 0) primary = await takeOver(store, `host-${hour}`, hour);
      await primary.write(1 + hour, hour);
      await primary.announce(await primary.checkpoint(hour * hourMs, history));
      contents.set(primary.newest.position, Buffer.from(primary.database.bytes));
      if (hour < 32) await primary.collect(policy, hour * hourMs);
    }
    const nowMs = 32 * hourMs;
    const without = await primary.collect({ checkpointsMin: 1, windowMs: hourMs }, nowMs, { dryRun: true });
    const { plan } = await primary.collect(policy, nowMs);
    expect(plan.boundary).toBe(without.plan.boundary);
    const listed = await listCheckpoints(store);
    expect(listed).toEqual([...plan.kept]);
    const hours: number[] = [];
    for (const position of listed) {
      const manifest = await readManifest(store, position);
      if (manifest === undefined) throw new Error("a manifest is missing");
      expect(contents.get(position)?.equals(await restore(store, manifest, "app.db"))).toBe(true);
      if (position < plan.boundary) hours.push(manifest.wallTimeMs / hourMs);
    }
    // The first of each eight within sixteen, of each two within six; the window has the rest.
    expect(hours).toEqual([16, 24, 26, 28, 30]);
    // Without the rules they go.
    await primary.collect({ checkpointsMin: 1, windowMs: hourMs }, nowMs);
    expect(await listCheckpoints(store)).toEqual([...without.plan.kept]);
  });

  test("only reports what it would do in a dry run", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    await primary.write(1, 5);
    await primary.announce(await primary.checkpoint(1000));
    const before = [
      ...(await store.list("log/")),
      ...(await store.list("chunks/")),
      ...(await store.list("checkpoints/")),
    ];
    const collected = await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000, { dryRun: true });
    expect(collected).toMatchObject({ records: [logKey(2)], checkpoints: ["checkpoints/0000000000000000"] });
    expect(collected.chunks).toHaveLength(1);
    expect([
      ...(await store.list("log/")),
      ...(await store.list("chunks/")),
      ...(await store.list("checkpoints/")),
    ]).toEqual(before);
    expect(await logIn(store).boundary()).toBe(0);
  });

  test("R6: removes nothing when the newest checkpoint is not whole", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    await primary.write(1, 5);
    await primary.announce(await primary.checkpoint(1000));
    await store.delete(primary.newest.databases[0]?.chunks[1] ?? "");
    const before = await store.list("log/");
    expect(await failureOf(primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000))).toMatchObject({
      kind: "damaged-chunk",
    });
    expect(await store.list("log/")).toEqual(before);
  });

  test("R6: without the rule the journal after the checkpoint goes too: the mutant loses writes", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    await primary.announce(await primary.checkpoint(1000));
    await primary.write(1, 5);
    await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000, {
      rules: withoutRule("R6-checkpoint-before-delete"),
    });
    expect(await failureOf(rebuild(store, primary.newest))).toMatchObject({ kind: "left-behind" });
  });

  test("R4: stores the boundary before it removes the first record, and keeps the log readable if it stops anywhere", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    for (let page = 1; page <= 4; page += 1) await primary.write(page, 9);
    await primary.announce(await primary.checkpoint(1000));
    const operations: string[] = [];
    const watched: Store = {
      url: "watched:",
      files: undefined,
      prepare: () => undefined,
      stage: async () => undefined,
      get: (key) => store.get(key),
      list: (prefix, options) => store.list(prefix, options),
      putIfAbsent: (key, bytes) => (operations.push(`put ${key}`), store.putIfAbsent(key, bytes)),
      delete: async (key) => {
        operations.push(`delete ${key}`);
        await store.delete(key);
        expect(Buffer.from((await rebuild(store, primary.newest)).database).equals(primary.database.bytes)).toBe(true);
      },
    };
    await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000, { store: watched });
    expect(operations[0]).toBe("put boundary/0000000000000005");
    expect(operations.slice(1, 5)).toEqual([2, 3, 4, 5].map((position) => `delete ${logKey(position)}`));
    expect(operations.slice(5).map((line) => line.split("/")[0])).toEqual(["delete checkpoints", "delete chunks"]);
  });

  test("keeps a bounded number of boundary entries", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    for (let round = 1; round <= 3 * boundaryEntriesKept; round += 1) {
      await primary.write(1, round);
      await primary.announce(await primary.checkpoint(round));
      await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000);
    }
    expect((await store.list("boundary/")).length).toBeLessThanOrEqual(boundaryEntriesKept + 1);
    expect(await logIn(store).boundary()).toBe(primary.newest.position);
  });

  test("leaves a damaged record alone: no host may delete it", async () => {
    const store = new MemoryStore();
    const primary = await bootstrap(store);
    await primary.write(1, 1);
    await primary.announce(await primary.checkpoint(1));
    store.overwrite(logKey(2), new TextEncoder().encode("damaged"));
    const collected = await primary.collect({ checkpointsMin: 1, windowMs: 0 }, 10_000, { noEpochAfter: Infinity });
    expect(collected).toMatchObject({ records: [], recordsKept: 2 });
    expect(await store.get(logKey(2))).toBeDefined();
  });
});

/**
 * Random histories: primaries write, make checkpoints, announce some, clean up with deletions that are delayed without
 * bound, are succeeded, and continue as zombies. After each step every host must be able to restore and to reach the
 * same state.
 */
describe("clean-up in random histories, with deletions that come late and primaries that come back", () => {
  for (let seed = 1; seed <= 12; seed += 1) {
    test(`seed ${seed}: the newest checkpoint, and every one that is promised, restores to exactly its state`, async () => {
      const random = seededRandom(seed);
      const pick = (below: number): number => Math.floor(random.fraction() * below);
      const store = new MemoryStore();
      const late: string[] = [];
      const delaying: Store = {
        url: "delaying:",
        files: undefined,
        prepare: () => undefined,
        stage: async () => undefined,
        get: (key) => store.get(key),
        list: (prefix, options) => store.list(prefix, options),
        putIfAbsent: (key, bytes) => store.putIfAbsent(key, bytes),
        delete: async (key) => {
          if (key.startsWith("boundary/") || pick(3) > 0) await store.delete(key);
          else late.push(key);
        },
      };
      const history = seed % 3 === 0 ? [] : [{ everyMs: 100 * (seed % 3), forMs: 900 }];
      const policy = { checkpointsMin: 1 + pick(3), windowMs: pick(2) * 300, history };
      const contents = new Map<number, Buffer>();
      const write = async (writing: Primary): Promise<CheckpointManifest | undefined> => {
        const manifest = await writing.checkpoint(now, history).catch(onlyExists);
        if (manifest !== undefined) contents.set(manifest.position, Buffer.from(writing.database.bytes));
        return manifest;
      };
      const promised = new Map<number, CheckpointManifest>();
      let now = 0;
      let primary = await bootstrap(delaying);
      contents.set(0, Buffer.from(primary.database.bytes));
      const zombies: Primary[] = [];
      for (let step = 0; step < 60; step += 1) {
        now += pick(50);
        const action = pick(10);
        if (action < 4) await primary.write(1 + pick(pages), step * 50 + seed);
        else if (action < 6) {
          const manifest = await write(primary);
          if (manifest !== undefined && pick(4) > 0) await primary.announce(manifest);
        } else if (action === 6) {
          const { plan } = await primary.collect(policy, now);
          keepOnly(promised, plan.kept);
          for (const position of plan.kept)
            promised.set(position, (await readManifest(store, position)) as CheckpointManifest);
          expect(promised.size).toBeGreaterThanOrEqual(1);
        } else if (action === 7) {
          zombies.push(primary);
          primary = await takeOver(delaying, `h${step}`, seed * 1000 + step);
        } else if (action === 8 && zombies.length > 0) {
          const zombie = zombies[pick(zombies.length)] as Primary;
          if (pick(2) === 0) await write(zombie);
          else {
            // The policy's promise now, as the primary sees it: the zombie, which knows less, must remove none of it.
            keepOnly(promised, (await primary.collect(policy, now, { dryRun: true })).plan.kept);
            await zombie.collect(policy, now).catch(onlyDamaged);
          }
        } else for (const key of late.splice(0, pick(late.length + 1))) await store.delete(key);
        if (action < 4) continue; // A commit removes nothing.
        const newest = (await newestCheckpoint(store)) as CheckpointManifest;
        const boundary = await logIn(store).boundary();
        for (const manifest of [newest, ...promised.values()]) {
          if (manifest.position < boundary) {
            expect(contents.get(manifest.position)?.equals(await restore(store, manifest, "app.db"))).toBe(true);
            continue;
          }
          const rebuilt = await rebuild(store, manifest);
          expect(rebuilt.position).toBe(primary.writer.position);
          expect(Buffer.from(rebuilt.database).equals(primary.database.bytes)).toBe(true);
        }
      }
    }, 20_000);
  }
});

function keepOnly(promised: Map<number, CheckpointManifest>, kept: readonly number[]): void {
  for (const position of promised.keys()) if (!kept.includes(position)) promised.delete(position);
}

function onlyExists(error: unknown): undefined {
  expect(error).toMatchObject({ kind: "checkpoint-exists" });
  return undefined;
}

/** A zombie's clean-up may find its own newest checkpoint removed by its successor: it stops then. */
function onlyDamaged(error: unknown): undefined {
  expect(error).toMatchObject({ kind: expect.stringMatching(/^damaged-(chunk|manifest)$/) });
  return undefined;
}
