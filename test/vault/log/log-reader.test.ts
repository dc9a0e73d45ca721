import { describe, expect, spyOn, test } from "bun:test";
import { withoutRule } from "../../../src/core/rules.ts";
import { CorruptRecordError, LeftBehindError } from "../../../src/vault/errors.ts";
import { FlushAssembler } from "../../../src/vault/log/flush-assembler.ts";
import { logKey } from "../../../src/vault/log/log-key.ts";
import { endsOfLogPerBoundaryCheck, readAheadBytesMax, readAheadRecordsMax } from "../../../src/vault/limits.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { encodeRecord, genesisHash, serviceTagOf } from "../../../src/vault/log/record-codec.ts";
import type { RecordBody } from "../../../src/vault/record.ts";
import {
  commit,
  failureOf,
  logIn,
  makeHost,
  raiseBoundary,
  readerOf,
  readToEnd,
  service,
} from "../../support/vault/log-fixture.ts";

const renew: RecordBody = { kind: "renew" };
const claimOf = (): RecordBody => ({ kind: "epoch", leaseMs: 1000, controlUrl: "", instance: "" });
const tag = serviceTagOf(service);

async function logOf(commits: number): Promise<MemoryStore> {
  const store = new MemoryStore();
  const writer = await makeHost("a", store).lead();
  for (let fill = 1; fill <= commits; fill += 1) await writer.append(commit(fill));
  return store;
}

describe("a reader", () => {
  test("gives the records in order, then nothing, then what was written since", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    const reader = readerOf(store);
    expect(reader.isAtEnd).toBe(false);
    expect((await readToEnd(reader)).map(({ body }) => body.kind)).toEqual(["epoch"]);
    expect(reader).toMatchObject({ position: 1, epoch: 1, isAtEnd: true, hash: writer.hash });
    const { record } = await writer.append(commit(5));
    expect(await reader.next()).toEqual({ ...record, sections: [] });
    expect(reader).toMatchObject({ position: 2, isAtEnd: false, last: record });
  });

  test("continues after a checkpoint by position, hash and epoch", async () => {
    const store = await logOf(3);
    const [, , third, fourth] = await readToEnd(readerOf(store));
    const reader = readerOf(store, { position: 3, hash: third?.hash ?? "", epoch: 1 });
    expect(await readToEnd(reader)).toEqual(fourth === undefined ? [] : [fourth]);
    const wrong = readerOf(store, { position: 3, hash: genesisHash, epoch: 1 });
    expect(await failureOf(wrong.next())).toMatchObject({ kind: "corrupt-record", position: 4 });
  });

  test("refuses any record of which a single byte is flipped, names it, and stays before it", async () => {
    const store = await logOf(2);
    for (const position of [1, 2, 3]) {
      const whole = (await store.get(logKey(position))) as Uint8Array;
      for (let at = 0; at < whole.length; at += 1) {
        const flipped = whole.slice();
        flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
        store.overwrite(logKey(position), flipped);
        const reader = readerOf(store);
        const failure = await failureOf(readToEnd(reader));
        expect(failure).toMatchObject({ message: expect.stringContaining(logKey(position)) });
        expect(reader.position).toBe(position - 1);
      }
      store.overwrite(logKey(position), whole);
    }
    expect(await readToEnd(readerOf(store))).toHaveLength(3);
  });

  test("refuses a record that does not follow its predecessor, and only the chain tells", async () => {
    const [store, other] = [await logOf(2), await logOf(3)];
    const nonce = (await readToEnd(readerOf(store))).at(-1)?.header.nonce ?? "";
    const foreign = (await readToEnd(readerOf(other))).at(-1);
    if (foreign === undefined) throw new Error("no record");
    const spliced = encodeRecord(tag, { ...foreign.header, nonce, previousHash: "ee".repeat(32) }, foreign.body).bytes;
    await store.putIfAbsent(logKey(4), spliced);
    expect(await failureOf(readToEnd(readerOf(store)))).toMatchObject({
      kind: "corrupt-record",
      position: 4,
      found: expect.stringContaining("eeee"),
    });
    expect(await readToEnd(readerOf(store, undefined, withoutRule("chain")))).toHaveLength(4);
  });

  test("refuses epochs that skip, repeat, or change without a claim, and two writers in one epoch", async () => {
    const store = await logOf(1);
    const last = (await readToEnd(readerOf(store))).at(-1);
    if (last === undefined) throw new Error("no record");
    const next = { ...last.header, position: 3, previousHash: last.hash };
    const claim: RecordBody = { kind: "epoch", leaseMs: 1000, controlUrl: "", instance: "" };
    const other = "77".repeat(16);
    const wrong = [
      encodeRecord(tag, { ...next, nonce: other, epoch: 3 }, claim),
      encodeRecord(tag, { ...next, nonce: other, epoch: 1 }, claim),
      encodeRecord(tag, { ...next, epoch: 2 }, claim),
      encodeRecord(tag, { ...next, epoch: 2 }, renew),
      encodeRecord(tag, { ...next, nonce: other }, renew),
    ];
    for (const { bytes } of wrong) {
      store.overwrite(logKey(3), bytes);
      expect(await failureOf(readToEnd(readerOf(store)))).toBeInstanceOf(CorruptRecordError);
    }
    store.overwrite(logKey(3), encodeRecord(tag, { ...next, nonce: other, epoch: 2 }, claim).bytes);
    expect(await readToEnd(readerOf(store))).toHaveLength(3);
  });

  test("that retention has passed finds out at once when it starts, and after a bounded number of looks when it waits", async () => {
    const store = await logOf(5);
    const waiting = readerOf(store, { position: 2, hash: (await readToEnd(readerOf(store)))[1]?.hash ?? "", epoch: 1 });
    await store.delete(logKey(3));
    expect(await waiting.next()).toBeUndefined();
    await raiseBoundary(store, 5);
    const started = readerOf(store, { position: 2, hash: waiting.hash, epoch: 1 });
    expect(await failureOf(started.next())).toMatchObject({ kind: "left-behind", position: 2, boundary: 5 });
    let looks = 0;
    let failure: unknown;
    for (; failure === undefined && looks <= endsOfLogPerBoundaryCheck; looks += 1) {
      failure = await waiting.next().then(
        () => undefined,
        (error: unknown) => error,
      );
    }
    expect(failure).toBeInstanceOf(LeftBehindError);
  });

  test("asks for the boundary at its first end, and then once in so many ends in a row", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    const log = logIn(store);
    const asked = spyOn(log, "boundary");
    const reader = readerOf(log);
    const asksIn = async (looks: number): Promise<number> => {
      asked.mockClear();
      for (let look = 0; look < looks; look += 1) expect(await reader.next()).toBeUndefined();
      return asked.mock.calls.length;
    };
    expect((await reader.next())?.body.kind).toBe("epoch");
    expect(await asksIn(1)).toBe(1);
    expect(await asksIn(endsOfLogPerBoundaryCheck - 2)).toBe(0);
    expect(await asksIn(1)).toBe(1);
    await writer.append(commit(1));
    expect((await reader.next())?.body.kind).toBe("commit");
    expect(await asksIn(endsOfLogPerBoundaryCheck - 1)).toBe(0);
    expect(await asksIn(1)).toBe(1);
  });

  test("that could not read a record ahead fails when it gets there, and reads it again at the next call", async () => {
    const store = await logOf(12);
    const log = logIn(store);
    const { get } = log;
    let failures = 1;
    spyOn(log, "get").mockImplementation((position) => {
      if (position === 9 && failures > 0) {
        failures -= 1;
        return Promise.reject(new Error("the disk is away"));
      }
      return get.call(log, position);
    });
    const reader = readerOf(log);
    for (let position = 1; position <= 8; position += 1) await reader.next();
    expect(failures).toBe(0);
    expect(await failureOf(reader.next())).toMatchObject({ message: "the disk is away" });
    expect(reader.position).toBe(8);
    expect((await readToEnd(reader)).map(({ header }) => header.position)).toEqual([9, 10, 11, 12, 13]);
  });

  test("reads nothing ahead that it does not give: what is written after a look past the end is found", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    for (let fill = 1; fill <= 5; fill += 1) await writer.append(commit(fill));
    const reader = readerOf(store);
    expect(await readToEnd(reader)).toHaveLength(6);
    for (let fill = 6; fill <= 9; fill += 1) await writer.append(commit(fill));
    expect((await readToEnd(reader)).map(({ header }) => header.position)).toEqual([7, 8, 9, 10]);
  });

  test("that is at the boundary exactly is not left behind", async () => {
    const store = await logOf(2);
    const reader = readerOf(store);
    await readToEnd(reader);
    await raiseBoundary(store, 3);
    for (let look = 0; look <= 2 * endsOfLogPerBoundaryCheck; look += 1) expect(await reader.next()).toBeUndefined();
  });
});

describe("what a reader knows", () => {
  test("nothing of the epoch before its first record if the start does not say it, and everything after it", async () => {
    const store = await logOf(3);
    const [, second, third] = await readToEnd(readerOf(store));
    if (second === undefined || third === undefined) throw new Error("no record");
    const reader = readerOf(store, { position: 2, hash: second.hash });
    expect([reader.isEpochKnown, reader.epoch, reader.last, reader.lastBytes]).toEqual([
      false,
      0,
      undefined,
      undefined,
    ]);
    expect(await reader.next()).toEqual(third);
    expect([reader.isEpochKnown, reader.epoch, reader.hash]).toEqual([true, 1, third.hash]);
    expect(reader.lastBytes).toEqual((await store.get(logKey(3))) as Uint8Array);
    const fromBegin = readerOf(store);
    expect([fromBegin.isEpochKnown, fromBegin.epoch]).toEqual([true, 0]);
  });

  test("any epoch may be the first if the start does not say it; one that the start says must continue", async () => {
    const store = await logOf(1);
    const last = (await readToEnd(readerOf(store))).at(-1);
    if (last === undefined) throw new Error("no record");
    const header = { ...last.header, position: 3, previousHash: last.hash, epoch: 7 };
    for (const body of [renew, claimOf()]) {
      store.overwrite(logKey(3), encodeRecord(tag, { ...header, nonce: "77".repeat(16) }, body).bytes);
      const start = { position: 2, hash: last.hash };
      expect((await readerOf(store, start).next())?.header.epoch).toBe(7);
      const failure = await failureOf(readerOf(store, { ...start, epoch: 5 }).next());
      expect(failure).toMatchObject({
        ...{ kind: "corrupt-record", position: 3 },
        message: expect.stringContaining(
          body === renew ? "a record of epoch 7; accepted is epoch 5" : "a claim of epoch 7; accepted is epoch 6",
        ),
      });
    }
  });

  test("each refusal says what was found, what was expected, and where", async () => {
    const store = await logOf(1);
    const last = (await readToEnd(readerOf(store))).at(-1);
    if (last === undefined) throw new Error("no record");
    const next = { ...last.header, position: 3, previousHash: last.hash };
    const other = "77".repeat(16);
    const wrong = [
      [{ ...next, epoch: 2 }, claimOf(), "a claim with the nonce of the claim before", "a new nonce"],
      [{ ...next, nonce: other }, renew, `a record of the writer ${other}`, `the writer of the epoch, ${next.nonce}`],
      [
        { ...next, previousHash: "ee".repeat(32) },
        renew,
        `a record that follows ${"ee".repeat(32)}`,
        `one that follows ${last.hash}`,
      ],
    ] as const;
    for (const [header, body, found, expected] of wrong) {
      store.overwrite(logKey(3), encodeRecord(tag, header, body).bytes);
      expect(await failureOf(readToEnd(readerOf(store)))).toMatchObject({
        position: 3,
        message: expect.stringContaining(`(${logKey(3)}) is damaged: ${found}; accepted is ${expected}`),
      });
    }
  });

  test("a claim at or below the boundary is of a writer in a hole, and refused; one above it is not (R4)", async () => {
    const store = await logOf(2);
    const first = (await readToEnd(readerOf(store)))[0];
    if (first === undefined) throw new Error("no record");
    await makeHost("b", store).lead(); // position 4
    await raiseBoundary(store, 3);
    const start = {
      position: 3,
      hash: (await readToEnd(readerOf(store, undefined, withoutRule("R4-boundary-check"))))[2]?.hash ?? "",
      epoch: 1,
    };
    expect((await readerOf(store, start).next())?.body.kind).toBe("epoch");
    await raiseBoundary(store, 4);
    const reader = readerOf(store, start);
    expect(await failureOf(reader.next())).toMatchObject({ kind: "left-behind", position: 3, boundary: 4 });
    expect([reader.position, reader.isAtEnd]).toEqual([3, false]);
    expect((await readerOf(store, start, withoutRule("R4-boundary-check")).next())?.body.kind).toBe("epoch");
  });

  test("it can be asked whether retention has passed the next record", async () => {
    const store = await logOf(3);
    const reader = readerOf(store);
    await reader.next();
    await reader.next();
    await raiseBoundary(store, 2);
    await reader.assertNotLeftBehind();
    await raiseBoundary(store, 3);
    expect(await failureOf(reader.assertNotLeftBehind())).toMatchObject({
      kind: "left-behind",
      position: 2,
      boundary: 3,
    });
  });
});

describe("a reader that is behind", () => {
  /** Positions that were looked up by each call of `next`. */
  async function lookUps(commits: number, calls: number): Promise<number[][]> {
    const log = logIn(await logOf(commits));
    const asked = spyOn(log, "get");
    const reader = readerOf(log);
    const found: number[][] = [];
    for (let call = 0; call < calls; call += 1) {
      asked.mockClear();
      await reader.next();
      found.push(asked.mock.calls.map(([position]) => position));
    }
    return found;
  }

  test("looks further ahead with each record: not after the first, then 1, 2, 4 and so on up to a bound", async () => {
    const perCall = await lookUps(60, 9);
    expect(perCall.slice(0, 5)).toEqual([[1], [2, 3], [4, 5], [6, 7, 8], [9, 10, 11, 12, 13]]);
    // Of call n: up to position n + what is wanted ahead.
    const furthest = perCall.map((positions, index) => Math.max(...positions) - (index + 1));
    expect(furthest).toEqual([0, 1, 2, 4, 8, readAheadRecordsMax, ...Array<number>(3).fill(readAheadRecordsMax)]);
    expect(perCall.flat().toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: perCall.flat().length }, (_, at) => at + 1),
    );
  });

  test("looks no further ahead than records of this size fill the bytes for it", async () => {
    const log = logIn(await logOf(40));
    const { get } = log;
    const asked = spyOn(log, "get").mockImplementation(async (position) => {
      const bytes = await get.call(log, position);
      // A false length, for which the record is refused: only how far ahead it lets the reader look counts.
      if (bytes !== undefined)
        Object.defineProperty(bytes, "byteLength", { value: Math.floor(readAheadBytesMax / 2.5) });
      return bytes;
    });
    const reader = readerOf(log);
    for (let call = 0; call < 8; call += 1) await reader.next().catch(() => undefined);
    const furthest = Math.max(...asked.mock.calls.map(([position]) => position));
    expect(furthest - (reader.position + 1)).toBe(2);
  });

  test("that is given up leaves no failed look ahead as an error of the process", async () => {
    const log = logIn(await logOf(6));
    const { get } = log;
    spyOn(log, "get").mockImplementation((position) =>
      position === 5 ? Promise.reject(new Error("the disk is away")) : get.call(log, position),
    );
    const unhandled: unknown[] = [];
    const hear = (error: unknown): void => void unhandled.push(error);
    process.on("unhandledRejection", hear);
    const reader = readerOf(log);
    for (let position = 1; position <= 3; position += 1) await reader.next();
    await new Promise((resolve) => setImmediate(resolve));
    process.removeListener("unhandledRejection", hear);
    expect(unhandled).toEqual([]);
  });

  test("begins again after an end: nothing is looked up ahead until two records were found in a row", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    for (let fill = 1; fill <= 6; fill += 1) await writer.append(commit(fill));
    const log = logIn(store);
    const reader = readerOf(log);
    await readToEnd(reader);
    for (let fill = 7; fill <= 9; fill += 1) await writer.append(commit(fill));
    const asked = spyOn(log, "get");
    await reader.next();
    expect(asked.mock.calls.map(([position]) => position)).toEqual([8]);
    await reader.next();
    expect(asked.mock.calls.map(([position]) => position)).toEqual([8, 9, 10]);
  });

  test("looks again, at the time of the call, for what a look ahead did not find", async () => {
    const store = await logOf(3);
    const log = logIn(store);
    const reader = readerOf(log);
    for (let position = 1; position <= 4; position += 1) await reader.next();
    // Position 5 was looked up ahead, and was not there.
    const last = reader.last;
    if (last === undefined) throw new Error("no record");
    const header = { ...last.header, position: 5, previousHash: last.hash };
    await store.putIfAbsent(logKey(5), encodeRecord(tag, header, renew).bytes);
    expect((await reader.next())?.header.position).toBe(5);
  });
});

describe("a flush", () => {
  test("of several parts is given whole, with other records in between", async () => {
    const store = new MemoryStore();
    const writer = await makeHost("a", store).lead();
    for (const body of [commit(1, 1, 3), renew, commit(2, 2, 3), commit(3, 3, 3), commit(4)]) await writer.append(body);
    const assembler = new FlushAssembler();
    const flushes = (await readToEnd(readerOf(store))).map((record) =>
      assembler.push(record)?.deltas.map(({ checksum }) => checksum[0]),
    );
    expect(flushes).toEqual([undefined, undefined, undefined, undefined, [1, 2, 3], [4]]);
    expect(assembler.isOpen).toBe(false);
  });

  test("whose writer died in the middle is dropped at the next claim", async () => {
    const store = new MemoryStore();
    const first = await makeHost("a", store).lead();
    for (const body of [commit(1), commit(2, 1, 3), commit(3, 2, 3)]) await first.append(body);
    const second = await makeHost("b", store).lead();
    await second.append(commit(9));
    const assembler = new FlushAssembler();
    const flushes = (await readToEnd(readerOf(store))).map((record) =>
      assembler.push(record)?.deltas.map(({ checksum }) => checksum[0]),
    );
    expect(flushes).toEqual([undefined, [1], undefined, undefined, undefined, [9]]);
  });

  test("whose parts do not follow each other is refused at that record", () => {
    const record = (position: number, body: RecordBody): Parameters<FlushAssembler["push"]>[0] => {
      const header = {
        position,
        epoch: 1,
        host: "a",
        nonce: "00".repeat(16),
        wallTimeMs: 0,
        previousHash: genesisHash,
      };
      return { header, body, sections: [], format: 1, steadVersion: undefined, hash: genesisHash };
    };
    for (const [first, second] of [
      [commit(1, 1, 3), commit(1, 3, 3)],
      [commit(1, 1, 3), commit(1, 2, 2)],
      [commit(1, 1, 3), commit(1)],
      [renew, commit(1, 2, 2)],
    ] as const) {
      const assembler = new FlushAssembler();
      assembler.push(record(1, first));
      expect(() => assembler.push(record(2, second))).toThrow(CorruptRecordError);
    }
  });
});
