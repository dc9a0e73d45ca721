import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Replica } from "../../../src/capture/replica.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import { allRules } from "../../../src/core/rules.ts";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import { type PointInTime, restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import type { Moment } from "../../../src/host/secondary/state-at.ts";
import { applyFlush, UnappliableFlushError } from "../../../src/host/secondary/unappliable-flush.ts";
import {
  type CheckpointManifest,
  listCheckpoints,
  readChunk,
  readManifest,
  startOf,
  writeCheckpoint,
} from "../../../src/vault/checkpoint/checkpoint.ts";
import { FlushAssembler } from "../../../src/vault/log/flush-assembler.ts";
import { LogReader } from "../../../src/vault/log/log-reader.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type VaultReport, verifyVault } from "../../../src/vault/verify/verify.ts";
import { claimAs, logIn, Pages, pageSize, service, zeros } from "../../support/host/log-fixture.ts";

let root = "";
beforeEach(() => (root = mkdtempSync(join(tmpdir(), "stead-proof-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A primary's log of two databases. */
class Written {
  readonly store = new MemoryStore();
  readonly databases = new Map<string, Pages>();
  writer: LogWriter | undefined;

  async begin(): Promise<void> {
    this.change("a.db", { 1: 1 });
    await this.checkpoint(0, zeros);
    this.writer = await claimAs(this.store, "b");
  }

  change(name: string, fills: Readonly<Record<number, number>>): DatabaseDelta {
    const pages = this.databases.get(name) ?? new Pages(name);
    this.databases.set(name, pages);
    return pages.change(fills);
  }

  remove(name: string): DatabaseDelta {
    this.databases.delete(name);
    return { name, pageSize, pageCount: 0, checksum: new Uint8Array(16), pages: [] };
  }

  /** A record for each part. */
  async commit(...parts: (readonly DatabaseDelta[])[]): Promise<number> {
    for (const [index, databases] of parts.entries())
      await this.log.append({ kind: "commit", part: index + 1, parts: parts.length, databases });
    return this.log.position;
  }

  /** `spoil`: its pages are not those of its checksums. */
  async checkpoint(position = this.log.position, hash = this.log.hash, spoil = false): Promise<number> {
    const databases = [...this.databases.values()].map((pages) => {
      const snapshot = pages.snapshot();
      return {
        ...snapshot,
        read: async (offset: number, length: number) =>
          (await snapshot.read(offset, length)).map((byte) => (spoil ? byte ^ 1 : byte)),
      };
    });
    await writeCheckpoint({
      store: this.store,
      position,
      hash,
      epoch: position === 0 ? 0 : 1,
      epochPosition: position === 0 ? 0 : 1,
      wallTimeMs: position,
      databases,
    });
    return position;
  }

  get log(): LogWriter {
    if (this.writer === undefined) throw new Error("no epoch was claimed");
    return this.writer;
  }

  verify(): Promise<VaultReport> {
    return verifyVault(this.store, { service, proof: pageProof });
  }

  restore(moment: Moment, name = "out"): Promise<PointInTime> {
    return restoreMoment({
      store: this.store,
      log: logIn(this.store),
      moment,
      folder: join(root, name),
      onWarning: () => undefined,
    });
  }
}

/** A page that was written after it was hashed, as in a read of a file that a process is still filling. */
function spoiled(delta: DatabaseDelta): DatabaseDelta {
  return {
    ...delta,
    pages: delta.pages.map((page, index) =>
      index === 0 ? { ...page, content: page.content.map((byte) => byte ^ 1) } : page,
    ),
  };
}

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (error: unknown) => error,
  );
}

const flushFindings = ({ findings }: VaultReport) => findings.filter(({ kind }) => kind === "unappliable-flush");

test("a flush with a page that is not the hashed one is named with position and database, and what is whole before it", async () => {
  const written = new Written();
  await written.begin();
  const whole = await written.commit([written.change("a.db", { 2: 2 })]);
  const position = await written.commit(
    [written.change("b.db", { 1: 1 })],
    [spoiled(written.change("a.db", { 2: 3 }))],
  );
  await written.commit([written.change("a.db", { 3: 3 })]);
  const report = await written.verify();
  expect(report.unappliable).toEqual([
    {
      database: "a.db",
      reason: expect.stringMatching(/^found checksum/),
      position,
      wholeUpTo: whole,
      mendedBy: undefined,
    },
  ]);
  expect(flushFindings(report)).toMatchObject([
    {
      severity: "damage",
      key: `log/${String(position).padStart(16, "0")}`,
      message: expect.stringContaining(`position ${position}: database a.db`),
    },
  ]);
  expect(report.restorable).toEqual({ checkpoint: 0, upTo: whole });
  expect(await failure(written.restore({ kind: "newest" }))).toMatchObject({
    name: "UnappliableFlushError",
    position,
    database: "a.db",
    advice: expect.stringContaining("--last-whole"),
  });
});

test("the last whole state is restored on request, with what is not in it", async () => {
  const written = new Written();
  await written.begin();
  const whole = await written.commit([written.change("a.db", { 2: 2 })]);
  const content = Buffer.concat(written.databases.get("a.db")?.contents ?? []);
  const position = await written.commit([spoiled(written.change("a.db", { 2: 3 }))]);
  await written.commit([written.change("b.db", { 1: 1 })]);
  const last = written.log.position;
  expect(await written.restore({ kind: "last-whole" })).toMatchObject({
    position: whole,
    leftOut: {
      from: position,
      to: last,
      commits: 2,
      unreadable: 0,
      databases: ["a.db", "b.db"],
      reason: expect.stringContaining(`position ${position}`),
    },
  });
  expect(readFileSync(join(root, "out", "a.db"))).toEqual(content);
  expect(await written.restore({ kind: "position", position: whole }, "before")).toMatchObject({
    position: whole,
    leftOut: null,
  });
});

test("of a log that is whole, the last whole state is the newest, and nothing is left out", async () => {
  const written = new Written();
  await written.begin();
  const position = await written.commit([written.change("a.db", { 2: 2 })]);
  expect(await written.restore({ kind: "last-whole" })).toMatchObject({ position, leftOut: null });
});

test("a damaged record ends the last whole state as well", async () => {
  const written = new Written();
  await written.begin();
  const whole = await written.commit([written.change("a.db", { 2: 2 })]);
  const position = await written.commit([written.change("a.db", { 2: 3 })]);
  const key = `log/${String(position).padStart(16, "0")}`;
  const bytes = (await written.store.get(key)) ?? new Uint8Array();
  written.store.overwrite(
    key,
    bytes.map((byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte)),
  );
  expect(await failure(written.restore({ kind: "newest" }))).toMatchObject({ name: "CorruptRecordError" });
  expect(await written.restore({ kind: "last-whole" }, "whole")).toMatchObject({
    position: whole,
    leftOut: { from: position, to: position, commits: 1, unreadable: 1 },
  });
});

test("a checkpoint behind such a flush makes the log whole again: what was damage is a notice", async () => {
  const written = new Written();
  await written.begin();
  const position = await written.commit([spoiled(written.change("a.db", { 2: 3 }))]);
  await written.commit([written.change("a.db", { 3: 3 })]);
  const mendedBy = await written.checkpoint();
  await written.commit([written.change("a.db", { 1: 9 })]);
  const report = await written.verify();
  expect(report.unappliable).toMatchObject([{ position, mendedBy }]);
  expect(flushFindings(report)).toMatchObject([{ severity: "notice" }]);
  expect(report.restorable).toEqual({ checkpoint: mendedBy, upTo: written.log.position });
  expect(await written.restore({ kind: "newest" })).toMatchObject({
    position: written.log.position,
    checkpoint: mendedBy,
  });
});

test("a checkpoint whose chunks are whole but give another database is damage, and no host begins there", async () => {
  const written = new Written();
  await written.begin();
  await written.commit([written.change("a.db", { 2: 3 })]);
  const position = await written.checkpoint(undefined, undefined, true);
  const report = await written.verify();
  expect(report.findings.filter(({ severity }) => severity === "damage")).toMatchObject([
    { kind: "no-identity" },
    { kind: "damaged-checkpoint", message: expect.stringContaining("database a.db") },
  ]);
  expect(report.checkpoints.map(({ whole }) => whole)).toEqual([true, false]);
  expect(report.restorable).toEqual({ checkpoint: 0, upTo: position });
  expect(await written.restore({ kind: "newest" })).toMatchObject({ checkpoint: 0, position });
});

test("a checkpoint that is another state than the journal before it gives is damage", async () => {
  const written = new Written();
  await written.begin();
  await written.commit([written.change("a.db", { 2: 3 })]);
  written.change("a.db", { 2: 4 }); // Never journaled.
  const position = await written.checkpoint();
  expect((await written.verify()).findings).toContainEqual(
    expect.objectContaining({
      kind: "damaged-checkpoint",
      severity: "damage",
      key: expect.stringContaining(String(position)),
      message: expect.stringContaining("another state than the journal"),
    }),
  );
});

/** Where a host that begins with the checkpoint ends: at the flush that it cannot apply, or at the end of the log. */
async function followFrom(
  store: MemoryStore,
  checkpoint: CheckpointManifest,
): Promise<{ refused?: number; database?: string }> {
  const folder = mkdtempSync(join(root, "host-"));
  const replica = await Replica.open({ root: folder });
  const chunksOf = async function* (name: string, chunks: readonly string[]): AsyncGenerator<Uint8Array> {
    for (const index of chunks.keys()) yield await readChunk(store, checkpoint, name, index);
  };
  try {
    for (const database of checkpoint.databases)
      await replica.load({ ...database, chunks: chunksOf(database.name, database.chunks) });
    const reader = new LogReader({ log: logIn(store), start: startOf(checkpoint), rules: allRules });
    const flushes = new FlushAssembler();
    for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
      const flush = flushes.push(record);
      if (flush !== undefined) await applyFlush(replica, flush, 0);
    }
    return {};
  } catch (error) {
    if (error instanceof UnappliableFlushError) return { refused: error.position, database: error.database };
    throw error;
  } finally {
    await replica.close();
  }
}

/** Commits, removals and re-creations, checkpoints, each wrong in one way or another now and then. */
async function draw(seed: number): Promise<Written> {
  const random = new SeededRandom(seed);
  const below = (limit: number): number => random.below(limit);
  const written = new Written();
  await written.begin();
  const deltaOf = (): DatabaseDelta => {
    const name = ["a.db", "b.db"][below(2)] ?? "";
    if (written.databases.has(name) && below(8) === 0) return written.remove(name);
    const last = written.databases.get(name)?.contents.length ?? 0;
    const delta = written.change(
      name,
      last === 0 ? { 1: below(256) } : { [1 + below(last)]: below(256), [last + 1]: below(256) },
    );
    switch (below(20)) {
      case 0:
        return spoiled(delta);
      case 1:
        return { ...delta, checksum: delta.checksum.map((byte) => byte ^ 1) };
      case 2:
        return {
          ...delta,
          pageSize: 1024,
          pages: delta.pages.map((page) => ({ ...page, content: Buffer.concat([page.content, page.content]) })),
        };
      case 3:
        return { ...delta, pages: delta.pages.slice(1) };
      default:
        return delta;
    }
  };
  for (let step = 0; step < 25; step += 1) {
    const kind = below(6);
    if (kind === 0) {
      await written.checkpoint(undefined, undefined, below(4) === 0);
      await written.log.append({ kind: "renew" }); // The next one is at another position.
    } else if (kind === 1) await written.commit([deltaOf()], [deltaOf()]);
    else await written.commit([deltaOf()]);
  }
  return written;
}

test("verify and what hosts can apply never disagree, whatever the log: 60 drawn ones", async () => {
  let [refusals, mended] = [0, 0];
  for (let seed = 1; seed <= 60; seed += 1) {
    const written = await draw(seed);
    const report = await written.verify();
    const whole = report.checkpoints.filter((checkpoint) => checkpoint.whole).map(({ position }) => position);
    for (const position of await listCheckpoints(written.store)) {
      const manifest = await readManifest(written.store, position);
      if (manifest === undefined) throw new Error(`no checkpoint ${position}`);
      const end = await followFrom(written.store, manifest).catch((error: unknown) =>
        error instanceof Error ? error.name : "",
      );
      const refused = report.unappliable.find((flush) => flush.position > position);
      const expected = !whole.includes(position)
        ? "ReplicaError"
        : refused === undefined
          ? {}
          : { refused: refused.position, database: refused.database };
      expect({ seed, position, end }).toEqual({ seed, position, end: expected });
    }
    const open = report.unappliable.find(({ mendedBy }) => mendedBy === undefined);
    refusals += report.unappliable.length;
    mended += report.unappliable.filter(({ mendedBy }) => mendedBy !== undefined).length;
    const restored = await failure(written.restore({ kind: "newest" }, `newest-${seed}`));
    expect({ seed, restored: restored instanceof UnappliableFlushError ? restored.position : restored }).toEqual({
      seed,
      restored: open?.position,
    });
    const last = await written.restore({ kind: "last-whole" }, `whole-${seed}`);
    expect({ seed, position: last.position }).toEqual({ seed, position: open?.wholeUpTo ?? written.log.position });
    expect({ seed, upTo: report.restorable?.upTo }).toEqual({ seed, upTo: last.position });
  }
  // The draw must not miss what it is about.
  expect(refusals).toBeGreaterThan(40);
  expect(mended).toBeGreaterThan(10);
});
