/**
 * What a record carries beside its own fields, read by all that read a log: followers, restores, restores to a moment,
 * `vault verify`.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localDatabases } from "../../../src/capture/local-state.ts";
import { Replica } from "../../../src/capture/replica.ts";
import type { Flush, Section } from "../../../src/core/flush.ts";
import type { RecordFormat } from "../../../src/core/record-format.ts";
import { allRules } from "../../../src/core/rules.ts";
import { Follower } from "../../../src/host/secondary/follower.ts";
import { LocalData } from "../../../src/host/secondary/local-data.ts";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import { restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import { restore } from "../../../src/host/secondary/restorer.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { programVersion } from "../../../src/runtime/program-version.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { UnknownFormatError } from "../../../src/vault/errors.ts";
import { ensureIdentity } from "../../../src/vault/store/identity.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { verifyVault } from "../../../src/vault/verify/verify.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { logIn, Pages, ports, readerFromStart, service, zeros } from "../../support/host/log-fixture.ts";

let root = "";
let store: MemoryStore;
let pages: Pages;
let writer: LogWriter;
let format: RecordFormat;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "stead-sections-"));
  store = new MemoryStore();
  pages = new Pages("a.db");
  format = 2;
  pages.change({ 1: 1 });
  await ensureIdentity(store, service);
  await writeCheckpoint({
    store,
    position: 0,
    hash: zeros,
    epoch: 0,
    epochPosition: 0,
    wallTimeMs: 0,
    databases: [pages.snapshot()],
  });
  const reader = readerFromStart(store);
  while ((await reader.next()) !== undefined);
  const claimed = await LogWriter.claim({
    ...ports,
    reader,
    host: "b",
    leaseMs: 1_000,
    controlUrl: "http://127.0.0.1:9",
    instance: "b-1",
    format: () => format,
  });
  if (claimed.kind !== "claimed") throw new Error(claimed.kind);
  writer = claimed.writer;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const section = (kind: string, isRequired: boolean, ...content: readonly number[]): Section => ({
  kind,
  isRequired,
  content: new Uint8Array(content),
});

async function commit(fill: number, ...sections: readonly Section[]): Promise<number> {
  await writer.append(
    { kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: fill, 2: fill })] },
    { sections },
  );
  return writer.position;
}

/** A secondary that follows from the first checkpoint; the databases begin as the checkpoint has them. */
async function follow(): Promise<string> {
  const folder = join(root, "followed");
  const replica = await Replica.open({ root: folder });
  try {
    const chunk = async function* (): AsyncGenerator<Uint8Array> {
      await Promise.resolve();
      yield new Uint8Array(pages.snapshot().pageSize).fill(1);
    };
    const first = new Pages("a.db").change({ 1: 1 });
    await replica.load({
      name: "a.db",
      pageSize: first.pageSize,
      pageCount: 1,
      checksum: first.checksum,
      chunks: chunk(),
    });
    await new Follower({
      reader: readerFromStart(store),
      target: replica,
      clock: systemClock,
      onRecord: () => undefined,
      epochAtStart: undefined,
    }).catchUp();
  } finally {
    await replica.close();
  }
  return readFileSync(join(folder, "a.db")).toString("hex");
}

async function restoreHost(): Promise<string> {
  const data = join(root, "data");
  const state = join(root, "state");
  const local = new LocalData(
    { dataFolder: data, stateFolder: state, setAsideFolder: join(state, "set-aside") },
    localDatabases(["*.db"]),
  );
  await local.prepare();
  const silent = (): void => undefined;
  const { target } = await restore({
    ...{
      store,
      log: logIn(store),
      clock: systemClock,
      rules: allRules,
      local,
      openTarget: () => Replica.open({ root: data }),
      localChunk: () => Promise.resolve(undefined),
    },
    ...{ onVaultFailure: silent, onWarning: silent, onRecord: silent, signal: new AbortController().signal },
  });
  await target.close();
  return readFileSync(join(data, "a.db")).toString("hex");
}

async function restoreAt(): Promise<string> {
  const folder = join(root, "moment");
  await restoreMoment({ store, log: logIn(store), moment: { kind: "newest" }, folder, onWarning: () => undefined });
  return readFileSync(join(folder, "a.db")).toString("hex");
}

const readers = { "a follower": follow, "a restore": restoreHost, "a restore to a moment": restoreAt } as const;

for (const [who, read] of Object.entries(readers)) {
  test(`${who} skips an optional section of an unknown kind and applies the record`, async () => {
    format = 1;
    await commit(2);
    format = 2;
    await commit(3, section("weather", false, 1, 2, 3));
    await commit(4);
    expect(await read()).toBe(Buffer.concat(pages.contents).toString("hex"));
  });

  test(`${who} refuses a required section of an unknown kind, and names section, record, writer and what to do`, async () => {
    await commit(2);
    const position = await commit(3, section("weather", true));
    const error = await failureOf(read());
    expect(error).toMatchObject({
      kind: "unknown-format",
      key: `log/${String(position).padStart(16, "0")}`,
      found: expect.stringContaining('the section "weather", which must not be skipped'),
    });
    expect(error instanceof UnknownFormatError ? error.advice : "").toBe(
      `Upgrade this host first: host b wrote it with stead ${programVersion}; install that version or a newer one.`,
    );
  });
}

test("verify proves a log in which formats 1 and 2 and unknown optional sections stand together", async () => {
  format = 1;
  await commit(2);
  format = 2;
  const last = await commit(3, section("weather", false, 1, 2, 3));
  const report = await verifyVault(store, { proof: pageProof });
  expect({ findings: report.findings, restorable: report.restorable }).toEqual({
    findings: [],
    restorable: { checkpoint: 0, upTo: last },
  });
});

test("verify names the record with an unknown required section as damage to this version", async () => {
  const whole = await commit(2);
  await commit(3, section("weather", true));
  const report = await verifyVault(store, { proof: pageProof });
  expect(report.findings).toHaveLength(1);
  const { severity, kind, message } = report.findings[0] ?? {};
  expect({ severity, kind }).toEqual({ severity: "damage", kind: "unknown-format" });
  for (const part of ['the section "weather"', "Upgrade this host first: host b wrote it with stead"])
    expect(message).toContain(part);
  expect(report.restorable).toEqual({ checkpoint: 0, upTo: whole });
});

test("a flush reaches its target whole: where it stands, who wrote it when, its pages, and the sections of all its parts in order", async () => {
  const flushes: Flush[] = [];
  const target = { apply: (flush: Flush) => Promise.resolve(void flushes.push(flush)), checksums: () => new Map() };
  const follower = new Follower({
    reader: readerFromStart(store),
    target,
    clock: systemClock,
    onRecord: () => undefined,
    epochAtStart: undefined,
  });
  const delta = pages.change({ 1: 2, 2: 2 });
  await writer.append(
    { kind: "commit", part: 1, parts: 2, databases: [{ ...delta, pages: delta.pages.slice(0, 1) }] },
    { sections: [section("weather", false, 1)] },
  );
  const from = writer.position;
  await writer.append({ kind: "renew" });
  await writer.append(
    { kind: "commit", part: 2, parts: 2, databases: [{ ...delta, pages: delta.pages.slice(1) }] },
    { sections: [section("weather", false, 2), section("tide", false, 3)] },
  );
  await follower.catchUp();
  expect(flushes).toHaveLength(1);
  const [flush] = flushes;
  expect(flush).toMatchObject({ from, to: writer.position, epoch: 1, host: "b" });
  expect(flush?.wallTimeMs).toBe(follower.reader.last?.header.wallTimeMs);
  expect(flush?.deltas.map(({ name, pages: parts }) => [name, ...parts.map(({ number }) => number)])).toEqual([
    ["a.db", 1],
    ["a.db", 2],
  ]);
  expect(flush?.sections.map(({ kind, content }) => [kind, ...content])).toEqual([
    ["weather", 1],
    ["weather", 2],
    ["tide", 3],
  ]);
});

test("a writer that may write format 1 only leaves optional sections out, and a required one makes the record format 2", async () => {
  format = 1;
  await commit(2, section("weather", false, 1));
  const reader = readerFromStart(store);
  await reader.next();
  expect(await reader.next()).toMatchObject({ format: 1, sections: [] });
  await commit(3, section("weather", true));
  expect(await failureOf(reader.next())).toMatchObject({ message: expect.stringContaining("weather") });
});

test("a claim is of format 1 also where everything else is of format 2, so that a host that reads format 1 only begins behind a checkpoint", async () => {
  await commit(2);
  const reader = readerFromStart(store);
  expect([(await reader.next())?.format, (await reader.next())?.format]).toEqual([1, 2]);
});
