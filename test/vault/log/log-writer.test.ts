import { describe, expect, test } from "bun:test";
import { withoutRule } from "../../../src/core/rules.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import type { RecordFormat } from "../../../src/core/record-format.ts";
import { CorruptRecordError, FencedError, WriterEndedError } from "../../../src/vault/errors.ts";
import { logKey } from "../../../src/vault/log/log-key.ts";
import type { StagedPut } from "../../../src/vault/store/store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import type { RecordBody } from "../../../src/vault/record.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { commit, delta, failureOf, logIn, makeHost, readerOf, readToEnd } from "../../support/vault/log-fixture.ts";

/** A store that notes what is announced to it, and the very bytes that are put. */
function announcedTo(inner: MemoryStore) {
  const announced: { key: string; bytes: Uint8Array; ahead: StagedPut | undefined }[] = [];
  const putBytes: Uint8Array[] = [];
  const { url } = inner;
  const store = {
    url,
    files: undefined,
    inner,
    putBytes,
    prepare: (key: string, bytes: Uint8Array, ahead?: StagedPut) => void announced.push({ key, bytes, ahead }),
    stage: inner.stage.bind(inner),
    putIfAbsent: (key: string, bytes: Uint8Array) => (putBytes.push(bytes), inner.putIfAbsent(key, bytes)),
    get: inner.get.bind(inner),
    list: inner.list.bind(inner),
    delete: inner.delete.bind(inner),
  };
  return { store, announced };
}

const renew: RecordBody = { kind: "renew" };
const kinds = async (store: MemoryStore): Promise<string[]> =>
  (await readToEnd(readerOf(store))).map(
    ({ header, body }) => `${header.position} ${body.kind} ${header.epoch} ${header.host}`,
  );

describe("a claim", () => {
  test("of an empty log is epoch 1 at position 1", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    expect(writer).toMatchObject({ epoch: 1, position: 1, claimPosition: 1, isUsable: true });
    expect(await kinds(store)).toEqual(["1 epoch 1 a"]);
  });

  test("follows everything that was written before, with the next epoch", async () => {
    const store = new MemoryStore();
    const first = await makeHost("a", store).lead();
    await first.append(commit(1));
    await first.append({ kind: "vacate", reason: "switchover", successor: "b" });
    const second = await makeHost("b", store).lead();
    await second.append(commit(2));
    expect(await kinds(store)).toEqual(["1 epoch 1 a", "2 commit 1 a", "3 vacate 1 a", "4 epoch 2 b", "5 commit 2 b"]);
  });

  test("R1: is beaten when anything was written since the log was read, and succeeds after reading it", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    const rival = makeHost("b", store);
    await readToEnd(rival.reader);
    await writer.append(commit(1));
    const outcome = await rival.claim();
    expect(outcome).toMatchObject({
      kind: "beaten",
      record: { header: { position: 2, host: "a" }, body: { kind: "commit" } },
    });
    expect(rival.reader.position).toBe(1);
    expect((await rival.lead()).position).toBe(3);
  });

  test("R1: needs a reader at the end of the log", async () => {
    const store = new MemoryStore();
    await makeHost("a", store).lead();
    const rival = makeHost("b", store);
    expect(await failureOf(rival.claim())).toMatchObject({ message: expect.stringContaining("R1") });
    await rival.reader.next();
    expect(await failureOf(rival.claim())).toMatchObject({ message: expect.stringContaining("R1") });
  });

  test("wins for exactly one of several hosts that claim at the same moment", async () => {
    for (let round = 0; round < 50; round += 1) {
      const store = new MemoryStore();
      const hosts = ["a", "b", "c", "d"].map((name) =>
        makeHost(name, store, { seed: round * 10 + name.charCodeAt(0) }),
      );
      for (const host of hosts) await readToEnd(host.reader);
      const outcomes = await Promise.all(hosts.map((host) => host.claim()));
      expect(outcomes.map(({ kind }) => kind).sort()).toEqual(["beaten", "beaten", "beaten", "claimed"]);
    }
  });

  test("R3: whose reply was lost is found again by its nonce, and counts its lease from the first attempt", async () => {
    const store = new FaultyStore(new MemoryStore());
    const host = makeHost("a", store);
    await readToEnd(host.reader);
    store.failPuts("unavailable", "lost-reply");
    let firstAmbiguousMs = 0;
    store.beforePut = (): Promise<void> => {
      host.clock.time += 10;
      if (store.puts.length === 2) firstAmbiguousMs = host.clock.time - 10;
      return Promise.resolve();
    };
    const outcome = await host.claim();
    if (outcome.kind !== "claimed") throw new Error(outcome.kind);
    expect(store.puts).toHaveLength(3);
    expect(outcome.writer.startedAtMs).toBe(firstAmbiguousMs);
    expect(host.failures.map(({ kind }) => kind)).toEqual(["unavailable", "ambiguous"]);
  });

  test("R4: that lands in a hole left by retention is void, and the same claim without the check is not noticed", async () => {
    for (const mutant of [false, true]) {
      const store = new MemoryStore();
      const sleeper = makeHost("z", store, mutant ? { rules: withoutRule("R4-boundary-check") } : {});
      const writer = await makeHost("a", store).lead();
      await readToEnd(sleeper.reader);
      for (let fill = 0; fill < 5; fill += 1) await writer.append(commit(fill));
      await logIn(store).removeUpTo(5);
      const outcome = await sleeper.claim();
      if (mutant) expect(outcome.kind).toBe("claimed");
      else expect(outcome).toEqual({ kind: "void", boundary: 5 });
      expect((await writer.append(renew)).record.header.position).toBe(7);
    }
  });

  test("makes the record it follows durable first: a record that the vault lost comes back before the claim", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    await writer.append(commit(1));
    const rival = makeHost("b", store);
    await readToEnd(rival.reader);
    await store.delete(logKey(2));
    await rival.claim();
    expect(await kinds(store)).toEqual(["1 epoch 1 a", "2 commit 1 a", "3 epoch 2 b"]);
  });

  test("refuses to follow a record that has become another one", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    await writer.append(commit(1));
    const rival = makeHost("b", store);
    await readToEnd(rival.reader);
    await store.delete(logKey(2));
    const impostor = makeHost("c", store);
    await readToEnd(impostor.reader);
    await impostor.claim();
    expect(await failureOf(rival.claim())).toBeInstanceOf(CorruptRecordError);
  });

  test("that is aborted while its outcome is unknown rejects with the reason, and the log continues without it", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    const giveUp = new AbortController();
    const host = makeHost("a", store, { signal: giveUp.signal });
    await readToEnd(host.reader);
    store.failPuts("late");
    store.beforePut = (): Promise<void> => {
      if (store.puts.length === 1) queueMicrotask(() => giveUp.abort(new Error("given up")));
      return Promise.resolve();
    };
    expect(await failureOf(host.claim())).toEqual(new Error("given up"));
    const other = await makeHost("b", inner).lead();
    expect(await store.deliverLate()).toEqual([{ kind: "exists" }]);
    expect((await other.append(renew)).record.header.position).toBe(2);
  });
});

describe("an append", () => {
  test("R2: of a primary that was succeeded is fenced, names its successor, and is the last", async () => {
    const store = new MemoryStore();
    const zombie = await makeHost("a", store).lead();
    await makeHost("b", store).lead();
    const error = await failureOf(zombie.append(commit(1)));
    expect(error).toBeInstanceOf(FencedError);
    expect(error).toMatchObject({ epoch: 2, host: "b", position: 2 });
    expect(zombie.isUsable).toBe(false);
    expect(await failureOf(zombie.append(renew))).toBeInstanceOf(WriterEndedError);
    expect(await kinds(store)).toEqual(["1 epoch 1 a", "2 epoch 2 b"]);
  });

  test("R2: of a zombie is fenced even long after retention deleted its successor's records", async () => {
    const store = new MemoryStore();
    const zombie = await makeHost("a", store).lead();
    const successor = await makeHost("b", store).lead();
    for (let fill = 0; fill < 5; fill += 1) await successor.append(commit(fill));
    await logIn(store).removeUpTo(6);
    expect(await failureOf(zombie.append(commit(9)))).toMatchObject({ kind: "fenced", epoch: 2, host: "b" });
  });

  test("without R2 a zombie takes the successor's record for its own: the mutant loses a write", async () => {
    const store = new MemoryStore();
    const zombie = await makeHost("a", store, { rules: withoutRule("R2-fenced-on-exists") }).lead();
    await makeHost("b", store).lead();
    await zombie.append(commit(1));
    expect(await kinds(store)).toEqual(["1 epoch 1 a", "2 epoch 2 b"]);
  });

  for (const fault of ["lost-reply", "lost-request", "full", "unavailable", "denied"] as const) {
    test(`R3: that meets ${fault} is made again with the same bytes until it is known`, async () => {
      const inner = new MemoryStore();
      const store = new FaultyStore(inner);
      const host = makeHost("a", store);
      const writer = await host.lead();
      store.failPuts(fault, fault, fault);
      const { record } = await writer.append(commit(7));
      expect(store.puts.slice(1)).toEqual([logKey(2), logKey(2), logKey(2), logKey(2)]);
      expect(host.failures.map(({ kind }) => kind)).toEqual(
        Array(3).fill(fault.startsWith("lost") ? "ambiguous" : fault),
      );
      expect((await readToEnd(readerOf(inner))).at(-1)).toEqual({ ...record, sections: [] });
      await writer.append(renew);
      expect((await readToEnd(readerOf(inner))).map(({ body }) => body.kind)).toEqual(["epoch", "commit", "renew"]);
    });
  }

  test("R3: that arrives late, after its retry has succeeded, changes nothing", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    const writer = await makeHost("a", store).lead();
    store.failPuts("late");
    await writer.append(commit(7));
    await writer.append(renew);
    expect(await store.deliverLate()).toEqual([{ kind: "exists" }]);
    expect(await readToEnd(readerOf(inner))).toHaveLength(3);
  });

  test("R3: that was ambiguous and finds another host's record is fenced, not taken for durable", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    const writer = await makeHost("a", store).lead();
    store.failPuts("lost-request");
    store.beforePut = async (): Promise<void> => {
      if (store.puts.length === 3) await makeHost("b", inner).lead();
    };
    expect(await failureOf(writer.append(commit(7)))).toMatchObject({ kind: "fenced", host: "b", epoch: 2 });
    expect(await kinds(inner)).toEqual(["1 epoch 1 a", "2 epoch 2 b"]);
  });

  test("without R3 an ambiguous put is taken for durable: the mutant leaves a hole in the log", async () => {
    const inner = new MemoryStore();
    const store = new FaultyStore(inner);
    const writer = await makeHost("a", store, { rules: withoutRule("R3-retry-ambiguous-put") }).lead();
    store.failPuts("lost-request");
    await writer.append(commit(7));
    await writer.append(renew);
    expect(await inner.list("log/")).toEqual([logKey(1), logKey(3)]);
  });

  test("counts its lease from the attempt that created it, or from the first that may have created it", async () => {
    const store = new FaultyStore(new MemoryStore());
    const host = makeHost("a", store);
    const writer = await host.lead();
    const starts: number[] = [];
    store.beforePut = (): Promise<void> => {
      starts.push(host.clock.time);
      host.clock.time += 100;
      return Promise.resolve();
    };
    store.failPuts("unavailable", "lost-request", "lost-request");
    const created = await writer.append(renew);
    expect(created.startedAtMs).toBe(starts[3] as number);
    starts.length = 0;
    store.failPuts("full", "lost-request", "lost-reply");
    const found = await writer.append(renew);
    expect(found.startedAtMs).toBe(starts[1] as number);
    expect(writer.startedAtMs).toBe(found.startedAtMs);
  });

  test("that the store will never accept rejects at once and ends the writer", async () => {
    const store = new FaultyStore(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    store.failPuts("unsuitable");
    expect(await failureOf(writer.append(renew))).toMatchObject({ kind: "unsuitable" });
    expect(writer.isUsable).toBe(false);
  });

  test("is alone: a second one before the first is durable is a programming error", async () => {
    const writer = await makeHost("a", new MemoryStore()).lead();
    const first = writer.append(renew);
    expect(await failureOf(writer.append(renew))).toMatchObject({
      message: expect.stringContaining("one put in flight"),
    });
    await first;
    await writer.append(renew);
  });

  test("of a part out of order is a programming error", async () => {
    const writer = await makeHost("a", new MemoryStore()).lead();
    expect(await failureOf(writer.append(commit(1, 2, 3)))).toMatchObject({
      message: expect.stringContaining("part 2 of 3"),
    });
    await writer.append(commit(1, 1, 3));
    expect(await failureOf(writer.append(commit(1, 1, 1)))).toMatchObject({
      message: expect.stringContaining("after part 1 of 3"),
    });
    expect(await failureOf(writer.append(commit(1, 2, 2)))).toMatchObject({
      message: expect.stringContaining("after part 1 of 3"),
    });
    await writer.append(renew);
    await writer.append(commit(1, 2, 3));
    await writer.append(commit(1, 3, 3));
    await writer.append(commit(1, 1, 1));
  });

  test("that was prepared while the one before it was in flight is put as it was announced", async () => {
    const { store, announced } = announcedTo(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    const [first, second] = [commit(1, 1, 2), commit(2, 2, 2)];
    const putting = writer.append(first);
    writer.prepare(second);
    await putting;
    await writer.append(second);
    expect(announced.map(({ key }) => key)).toEqual([logKey(3)]);
    expect(await store.inner.get(logKey(3))).toEqual(announced[0]?.bytes as Uint8Array);
    expect(store.putBytes.at(-1)).toBe(announced[0]?.bytes as Uint8Array);
    expect(await kinds(store.inner)).toEqual(["1 epoch 1 a", "2 commit 1 a", "3 commit 1 a"]);
  });

  test("that was prepared is made again when another record came first, or when it has sections", async () => {
    const { store } = announcedTo(new MemoryStore());
    const host = makeHost("a", store);
    await readToEnd(host.reader);
    let format: RecordFormat = 2;
    const outcome = await LogWriter.claim({ ...host.options, format: () => format });
    if (outcome.kind !== "claimed") throw new Error(outcome.kind);
    const { writer } = outcome;
    const bodies = [commit(1), commit(2), commit(3)] as const;
    writer.prepare(bodies[0]);
    await writer.append(renew);
    await writer.append(bodies[0]);
    writer.prepare(bodies[1]);
    await writer.append(bodies[1], { sections: [{ kind: "note", isRequired: false, content: new Uint8Array([1]) }] });
    writer.prepare(bodies[2]);
    format = 1;
    await writer.append(bodies[2]);
    const records = await readToEnd(readerOf(store.inner));
    expect(
      records.map(
        ({ header, body, format: written, sections }) =>
          `${header.position} ${body.kind} ${written} ${sections.length}`,
      ),
    ).toEqual(["1 epoch 1 0", "2 renew 2 0", "3 commit 2 0", "4 commit 2 1", "5 commit 1 0"]);
  });

  test("is put from what was staged if its pages stand there, and from its own bytes otherwise", async () => {
    const { store, announced } = announcedTo(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    /** A commit whose page is laid out behind so many bytes, and before so many. */
    const laidOut = (headBytes: number, tailBytes: number, ...others: readonly DatabaseDelta[]): RecordBody => {
      const plain = delta(7);
      const bytes = new Uint8Array(headBytes + 4 + plain.pageSize + tailBytes);
      new DataView(bytes.buffer).setUint32(headBytes, 1, true);
      const content = bytes.subarray(headBytes + 4, headBytes + 4 + plain.pageSize).fill(7);
      const staged = { read: () => Promise.resolve(), drop: () => undefined };
      const own = { ...plain, pages: [{ number: 1, content }], laidOut: { bytes, headBytes, staged } };
      return { kind: "commit", part: 1, parts: 1, databases: [own, ...others] };
    };
    const head = writer.bytesBeforePages("app.db");
    const there = laidOut(head, 0);
    const elsewhere = [laidOut(head + 8, 0), laidOut(head - 8, 8), laidOut(head, 8)];
    for (const body of [there, ...elsewhere, laidOut(head, 0, delta(8, { name: "other.db" })), commit(9)]) {
      writer.prepare(body);
      await writer.append(body);
    }
    const staged = there.kind === "commit" ? there.databases[0]?.laidOut : undefined;
    expect(announced.map(({ ahead }) => ahead)).toEqual([staged, ...Array<undefined>(5).fill(undefined)]);
    expect(staged).toBeDefined();
    writer.prepare(renew);
    expect(announced.at(-1)?.ahead).toBeUndefined();
    const pages = (await readToEnd(readerOf(store.inner))).flatMap(({ body }) =>
      body.kind === "commit" ? body.databases.map(({ pages: [page] }) => page?.content[0]) : [],
    );
    expect(pages).toEqual([7, 7, 7, 7, 7, 8, 9]);
  });

  test("R2: that was prepared by a primary which was succeeded meanwhile is not in the log", async () => {
    const { store } = announcedTo(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    const [first, second] = [commit(1, 1, 2), commit(2, 2, 2)];
    await writer.append(first);
    writer.prepare(second);
    await makeHost("b", store.inner).lead();
    expect(await failureOf(writer.append(second))).toBeInstanceOf(FencedError);
    writer.prepare(second);
    expect(await failureOf(writer.append(second))).toBeInstanceOf(WriterEndedError);
    expect(await kinds(store.inner)).toEqual(["1 epoch 1 a", "2 commit 1 a", "3 epoch 2 b"]);
  });

  test("that is aborted while the vault is away rejects with the reason and ends the writer", async () => {
    const store = new FaultyStore(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    const giveUp = new AbortController();
    store.failPuts(...Array<"unavailable">(50).fill("unavailable"));
    store.beforePut = (): Promise<void> => {
      if (store.puts.length === 10) giveUp.abort(new Error("stopped"));
      return Promise.resolve();
    };
    expect(await failureOf(writer.append(renew, { signal: giveUp.signal }))).toEqual(new Error("stopped"));
    expect(writer.isUsable).toBe(false);
  });
});
