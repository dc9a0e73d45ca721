import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRandom } from "../../../harness/seeded-random.ts";
import { FlushSections } from "../../../src/host/primary/flush-sections.ts";
import { putParts } from "../../../src/host/primary/flush-parts.ts";
import { PreparedRewind, type RewindFlush, UncoveredStateError } from "../../../src/host/primary/prepared-rewind.ts";
import { pageProof } from "../../../src/host/secondary/page-proof.ts";
import { restoreMoment } from "../../../src/host/secondary/point-in-time.ts";
import { MomentError } from "../../../src/host/secondary/state-at.ts";
import { NothingToUndoError } from "../../../src/host/primary/rewind-plan.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { putFileChunk } from "../../../src/vault/checkpoint/file-chunks.ts";
import { rewoundOf } from "../../../src/vault/log/rewound-section.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { ensureIdentity } from "../../../src/vault/store/identity.ts";
import { verifyVault } from "../../../src/vault/verify/verify.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { DrawnHistory, type State } from "../../support/host/drawn-history.ts";
import { claimAs, logIn, Pages, ports, readerFromStart, service, zeros } from "../../support/host/log-fixture.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";

setDefaultTimeout(60_000);

let root: string;
let obstacle: string | undefined;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "stead-rewind-"));
  obstacle = undefined;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const prepare = (store: MemoryStore, position: number): Promise<PreparedRewind> =>
  PreparedRewind.prepare({
    ...{ store, log: logIn(store), clock: systemClock, moment: { kind: "position", position }, keptForMs: 0 },
    ...{ folder: join(root, "prepared"), onWarning: () => undefined, obstacleTo: () => obstacle },
  });

const flushOf = (prepared: PreparedRewind, store: MemoryStore, writer: LogWriter): Promise<RewindFlush> =>
  prepared.flush(
    writer.position,
    (bytes) => putFileChunk({ store, position: writer.position + 1, ...ports }, bytes),
    new AbortController().signal,
  );

async function put({ batch, section }: RewindFlush, writer: LogWriter): Promise<void> {
  const sections = new FlushSections([section], batch.files);
  await putParts(
    batch,
    {
      put: async ({ body }) => void (await writer.append(body, { sections: sections.of(body.part) })),
      prepare: () => undefined,
    },
    sections,
  );
  batch.done();
}

let restores = 0;
async function newest(store: MemoryStore): Promise<State> {
  const folder = join(root, `newest-${++restores}`);
  const { databases, files } = await restoreMoment({
    ...{ store, log: logIn(store), moment: { kind: "newest" }, folder, onWarning: () => undefined },
  });
  const sums = databases.map(({ name, checksum }) => [name, checksum]);
  return Object.fromEntries([...sums, ["/files", files?.checksum ?? "0".repeat(32)]].toSorted());
}

describe("a rewind", () => {
  for (let seed = 1; seed <= 12; seed += 1)
    test(`is exact whatever happened since (seed ${seed})`, async () => {
      const dice = new SeededRandom(seed);
      const store = new MemoryStore();
      await ensureIdentity(store, service);
      const history = new DrawnHistory(store, dice);
      await history.begin();
      for (let turn = 0; turn < 3; turn += 1) {
        for (let at = 0; at < 6; at += 1) await history.flush();
        const [to, contents] = [history.writer.position, history.contents()];
        for (let at = dice.int(1, 8); at > 0; at -= 1) await history.flush();
        const prepared = await prepare(store, to);
        // What is committed until the primary steps down.
        for (let at = dice.int(0, 3); at > 0; at -= 1) await history.flush();
        const undoneTo = history.writer.position;
        const undone = history.state();
        await put(await flushOf(prepared, store, history.writer), history.writer);
        await prepared.close();
        const wanted = history.states.get(to);
        expect(await newest(store)).toEqual(wanted ?? {});
        history.becomes(history.writer.position, contents);
        // And back again.
        const again = await prepare(store, undoneTo);
        await put(await flushOf(again, store, history.writer), history.writer);
        expect(await newest(store)).toEqual(undone);
        const third = await prepare(store, to);
        await put(await flushOf(third, store, history.writer), history.writer);
        expect(await newest(store)).toEqual(wanted ?? {});
      }
      const report = await verifyVault(store, { proof: pageProof });
      expect(report.findings.filter(({ severity }) => severity === "damage")).toEqual([]);
    });

  test("has only the pages that differ, and says what it undoes", async () => {
    const store = new MemoryStore();
    const pages = new Pages("a.db");
    pages.change(Object.fromEntries(Array.from({ length: 100 }, (_, at) => [at + 1, 7])));
    const at = { epoch: 0, epochPosition: 0, wallTimeMs: 0 };
    await writeCheckpoint({ store, position: 0, hash: zeros, ...at, databases: [pages.snapshot()] });
    const writer = await claimAs(store, "b", { format: 2 });
    const to = writer.position;
    for (const fill of [8, 9, 8])
      await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 3: fill, 5: fill })] });
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 5: 7 })] });
    const prepared = await prepare(store, to);
    expect(prepared.plan).toMatchObject({
      to: { position: to, epoch: 1 },
      end: { position: to + 4 },
      undone: { flushes: 4, bytes: 7 * 512, databases: [{ name: "a.db", pages: 7 }] },
    });
    const flush = await flushOf(prepared, store, writer);
    expect([...flush.batch.parts()].flat().flatMap(({ pages }) => pages.map(({ number }) => number))).toEqual([3]);
    await put(flush, writer);
    const reader = readerFromStart(store);
    while (reader.position < writer.position) await reader.next();
    expect(rewoundOf(reader.last?.sections ?? [])).toMatchObject({ to, undoneTo: to + 4 });
    await prepared.close();
    expect(existsSync(join(root, "prepared"))).toBe(false);
  });

  test("of more pages than a record takes is one flush of several parts", async () => {
    const store = new MemoryStore();
    const pages = new Pages("a.db");
    const all = (fill: number) => Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [at + 1, fill]));
    pages.change(all(1));
    const at = { epoch: 0, epochPosition: 0, wallTimeMs: 0 };
    await writeCheckpoint({ store, position: 0, hash: zeros, ...at, databases: [pages.snapshot()] });
    const writer = await claimAs(store, "b");
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change(all(2))] });
    const wanted = await newest(store);
    const undone = await prepare(store, writer.position - 1);
    const flush = await flushOf(undone, store, writer);
    expect(flush.batch.partCount).toBe(3);
    await put(flush, writer);
    expect(await newest(store)).not.toEqual(wanted);
    await put(await flushOf(await prepare(store, 2), store, writer), writer);
    expect(await newest(store)).toEqual(wanted);
  });

  test("is refused for a moment after the last, where nothing was committed since, and for a state that no host could serve", async () => {
    const store = new MemoryStore();
    const pages = new Pages("a.db");
    pages.change({ 1: 1 });
    const at = { epoch: 0, epochPosition: 0, wallTimeMs: 0 };
    await writeCheckpoint({ store, position: 0, hash: zeros, ...at, databases: [pages.snapshot()] });
    const writer = await claimAs(store, "b");
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 2 })] });
    await writer.append({ kind: "renew" });
    expect(await failureOf(prepare(store, writer.position))).toBeInstanceOf(NothingToUndoError);
    obstacle = "host.databases leaves out a.db";
    expect(await failureOf(prepare(store, writer.position - 2))).toBeInstanceOf(UncoveredStateError);
    obstacle = undefined;
    expect(await failureOf(prepare(store, writer.position + 1))).toBeInstanceOf(MomentError);
    expect(existsSync(join(root, "prepared"))).toBe(false);
  });

  test("ends if what it prepared was changed by another process", async () => {
    const store = new MemoryStore();
    const pages = new Pages("a.db");
    pages.change({ 1: 1 });
    const at = { epoch: 0, epochPosition: 0, wallTimeMs: 0 };
    await writeCheckpoint({ store, position: 0, hash: zeros, ...at, databases: [pages.snapshot()] });
    const writer = await claimAs(store, "b");
    await writer.append({ kind: "commit", part: 1, parts: 1, databases: [pages.change({ 1: 2 })] });
    const prepared = await prepare(store, writer.position - 1);
    const file = join(root, "prepared", "a.db");
    writeFileSync(file, readFileSync(file).fill(9));
    const flush = await flushOf(prepared, store, writer);
    expect(String(await failureOf(put(flush, writer)))).toContain("is not as it was restored");
  });
});
