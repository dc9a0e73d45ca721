/** What segment-log.ts argues, as histories: hosts that meet, sleep or die between two calls, and a power failure. */
import { describe, expect, test } from "bun:test";
import {
  decodeEntryHeader,
  encodeEntry,
  entryBytes,
  entryHeaderBytes,
} from "../../../../src/vault/log/segment/segment-entry.ts";
import { claimKey, sealKey, segmentPrefix } from "../../../../src/vault/log/segment/segment-key.ts";
import type { Log } from "../../../../src/vault/log/log.ts";
import type { LogWriter } from "../../../../src/vault/log/log-writer.ts";
import { StoreError } from "../../../../src/vault/store/store.ts";
import { FencedError } from "../../../../src/vault/errors.ts";
import { commit, failureOf, makeHost, readerOf, readToEnd } from "../../../support/vault/log-fixture.ts";
import { forEver, SteppedVault } from "../../../support/vault/stepped-segments.ts";

const errorOf = (code: string): Error => Object.assign(new Error(code), { code });

const contentsOf = async (log: Log): Promise<string[]> =>
  (await readToEnd(readerOf(log))).map(
    ({ header, body }) =>
      `${header.position} ${header.host}${header.epoch} ${body.kind === "commit" ? body.databases[0]?.pages[0]?.content[0] : body.kind}`,
  );

/** Waits for some turns of the event loop, in which every call that can proceed does. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Stops at the first call that begins with the words, until it is let go. */
class Stop {
  readonly #words: string;
  readonly #gate = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();
  #isOver = false;

  constructor(words: string) {
    this.#words = words;
  }

  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  onCall = (call: string): Promise<void> | undefined => {
    if (this.#isOver || !call.startsWith(this.#words)) return undefined;
    this.#isOver = true;
    this.#reached.resolve();
    return this.#gate.promise;
  };

  letGo(): void {
    this.#gate.resolve();
  }
}

describe("two claimants in a row, and the first dies at any of its calls", () => {
  test("the second takes over, all that was acknowledged is there, and the old primary is fenced", async () => {
    let isWhole = false;
    for (let step = 1; !isWhole; step += 1) {
      const vault = new SteppedVault();
      const old = await makeHost("a", vault.open()).lead();
      for (let fill = 1; fill <= 3; fill += 1) await old.append(commit(fill));
      let calls = 0;
      const first = makeHost(
        "b",
        vault.open(() => ((calls += 1) === step ? forEver() : undefined), 2),
      );
      isWhole = await Promise.race([first.lead().then(() => true), settle().then(() => false)]);
      const epoch = isWhole ? 3 : undefined;
      const log = vault.open(undefined, 3);
      const second = await makeHost("c", log).lead();
      await second.append(commit(9));
      const found = await contentsOf(vault.open());
      expect(found.slice(0, 4)).toEqual(["1 a1 epoch", "2 a1 1", "3 a1 2", "4 a1 3"]);
      expect(found.filter((each) => each.includes(" b2 ")).length).toBeLessThanOrEqual(1);
      expect(found.at(-1)).toMatch(/c[23] 9/);
      if (epoch !== undefined) expect(second.epoch).toBe(epoch);
      expect(await failureOf(old.append(commit(8)))).toBeInstanceOf(FencedError);
      expect(await contentsOf(vault.open())).toEqual(found);
      if (step > 200) throw new Error("a claim never ends");
    }
  });
});

describe("a slow claimant", () => {
  test("that seals after the next one has sealed does not lead, and its record is nowhere", async () => {
    const vault = new SteppedVault();
    const old = await makeHost("a", vault.open()).lead();
    await old.append(commit(1));
    const stop = new Stop("put seals/");
    const slow = makeHost("b", vault.open(stop.onCall, 2)).lead();
    await stop.reached;
    const quick = await makeHost("c", vault.open(undefined, 3)).lead();
    await quick.append(commit(2));
    stop.letGo();
    expect(await failureOf(slow)).toMatchObject({ message: "the claim ended as beaten" });
    await quick.append(commit(3));
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 c2 epoch", "4 c2 2", "5 c2 3"]);
  });

  test("that has sealed when the next one reads is found by it, and leads no more", async () => {
    const vault = new SteppedVault();
    await makeHost("a", vault.open()).lead();
    const stop = new Stop(`get ${claimKey(3)}`);
    const slow = makeHost("b", vault.open(stop.onCall, 2));
    const led = slow.lead();
    await stop.reached;
    const quick = makeHost("c", vault.open(undefined, 3));
    await readToEnd(quick.reader);
    expect((await quick.claim()).kind).toBe("beaten");
    await readToEnd(quick.reader);
    expect((await quick.claim()).kind).toBe("claimed");
    stop.letGo();
    const writer = await led;
    expect(await failureOf(writer.append(commit(5)))).toBeInstanceOf(FencedError);
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 b2 epoch", "3 c3 epoch"]);
  });

  test("whose put of a claim fails while another host takes its number does not own that term", async () => {
    const vault = new SteppedVault();
    const old = await makeHost("a", vault.open()).lead();
    await old.append(commit(1));
    let quick: LogWriter | undefined;
    const written: string[] = [];
    const away = makeHost(
      "b",
      vault.open(async (call) => {
        if (/^(create|write) /.test(call)) written.push(call);
        if (quick !== undefined || !call.startsWith("put claims/")) return;
        quick = await makeHost("c", vault.open(undefined, 3)).lead();
        await quick.append(commit(2));
        throw new StoreError("ambiguous", "no answer", "wait");
      }, 2),
    );
    await readToEnd(away.reader);
    expect((await away.claim()).kind).toBe("beaten");
    await readToEnd(away.reader);
    // Before its claim it puts the last record again, which must not go to a segment of the other's term.
    const claimed = away.claim();
    await quick?.append(commit(3));
    await claimed;
    expect(written).toEqual([]);
    const found = await contentsOf(vault.open());
    expect(found.slice(0, 5)).toEqual(["1 a1 epoch", "2 a1 1", "3 c2 epoch", "4 c2 2", "5 c2 3"]);
  });

  test("whose claim others overtook long ago claims again, and does not report the log as too short", async () => {
    const vault = new SteppedVault();
    await makeHost("a", vault.open()).lead();
    let [isFailing, isAway] = [true, false];
    const away = makeHost(
      "b",
      vault.open((call) => {
        if (isFailing && call.startsWith("put claims/")) isAway = true;
        else if (isAway && call.startsWith("list seals/")) throw new StoreError("unavailable", "away", "wait");
      }, 2),
    );
    await readToEnd(away.reader);
    const { log } = away.reader;
    const bytes = (await log.get(1)) ?? new Uint8Array();
    expect(await failureOf(log.put(2, bytes))).toBeDefined();
    const quick = await makeHost("c", vault.open(undefined, 3)).lead();
    for (let fill = 1; fill <= 3; fill += 1) await quick.append(commit(fill));
    isFailing = isAway = false;
    const late = makeHost("b", log);
    await readToEnd(late.reader);
    expect((await late.claim()).kind).toBe("claimed");
  });
});

describe("a writer that meets a claim without a seal", () => {
  test("waits for it, ends it after a second, and continues: its record counts once", async () => {
    const vault = new SteppedVault();
    const primary = makeHost("a", vault.open());
    const writer = await primary.lead();
    await writer.append(commit(1));
    const dead = makeHost(
      "b",
      vault.open((call) => (call.startsWith("put seals/") ? forEver() : undefined), 2),
    );
    await Promise.race([dead.lead(), settle()]);
    expect(await vault.keysOf("claims/")).toHaveLength(2);
    await writer.append(commit(2));
    expect(primary.failures.map(({ message }) => message).join()).toContain("another host is taking over");
    await writer.append(commit(3));
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 a1 2", "4 a1 3"]);
    expect(await vault.keysOf("claims/")).toHaveLength(3);
  });

  test("and whose record the claimant has read: the record counts, and the writer is told so and then fenced", async () => {
    const vault = new SteppedVault();
    const stop = new Stop("look ");
    const writer = await makeHost("a", vault.open(stop.onCall)).lead();
    const append = writer.append(commit(1));
    await stop.reached;
    const next = makeHost("b", vault.open(undefined, 2));
    await readToEnd(next.reader);
    expect((await next.claim()).kind).toBe("beaten");
    await readToEnd(next.reader);
    expect((await next.claim()).kind).toBe("claimed");
    stop.letGo();
    expect((await append).record.header.position).toBe(2);
    expect(await failureOf(writer.append(commit(2)))).toBeInstanceOf(FencedError);
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 b2 epoch"]);
  });
});

describe("an append", () => {
  test("whose look fails is decided when it is repeated, and is in the log once", async () => {
    const vault = new SteppedVault();
    let fails = 2;
    const primary = makeHost(
      "a",
      vault.open((call) => {
        if (call.startsWith("look ") && (fails -= 1) >= 0) throw errorOf("EIO");
      }),
    );
    const writer = await primary.lead();
    for (let fill = 1; fill <= 3; fill += 1) await writer.append(commit(fill));
    expect(primary.failures.length).toBeGreaterThan(0);
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 a1 2", "4 a1 3"]);
  });

  test("whose sync fails continues in a new segment, and the old file is not written again", async () => {
    const vault = new SteppedVault();
    const calls: string[] = [];
    let syncs = 0;
    const writer = await makeHost(
      "a",
      vault.open((call) => {
        calls.push(call);
        if (call.startsWith("sync ") && (syncs += 1) === 2) throw errorOf("EIO");
      }),
    ).lead();
    for (let fill = 1; fill <= 3; fill += 1) await writer.append(commit(fill));
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 a1 2", "4 a1 3"]);
    const failed = calls.findLastIndex((call) => call.startsWith("sync ") && call.includes(".0000000000000002.0"));
    expect(calls.slice(failed + 1).filter((call) => call.startsWith("write ") && call.includes("2.0"))).toEqual([]);
    expect((await vault.keysOf(segmentPrefix)).length).toBeGreaterThan(1);
  });

  /** A commit that can be read, whose sync has not begun; and the host that claims next. */
  async function beforeTheSync() {
    const vault = new SteppedVault();
    const stop = new Stop("sync ");
    const writer = await makeHost("a", vault.open(stop.onCall)).lead();
    writer.append(commit(1)).catch(() => undefined);
    await stop.reached;
    return { vault, next: makeHost("b", vault.open(undefined, 2)) };
  }

  test("that was read, and is lost with the power, is in the seal of the claimant that has read it", async () => {
    const { vault, next } = await beforeTheSync();
    await readToEnd(next.reader);
    expect((await next.claim()).kind).toBe("beaten");
    for (const bytes of vault.segments.files.values()) bytes.fill(0);
    vault.loseMarks();
    const other = vault.open(undefined, 3);
    await other.decideEnd();
    expect(await contentsOf(other)).toEqual(["1 a1 epoch", "2 a1 1"]);
    expect(await other.positions()).toEqual([1, 2]);
  });

  test("and so it is where the claimant leads: it stands at its position, before the claim", async () => {
    const { vault, next } = await beforeTheSync();
    for (const kind of ["beaten", "claimed"] as const) {
      await readToEnd(next.reader);
      expect((await next.claim()).kind).toBe(kind);
    }
    for (const bytes of vault.segments.files.values()) bytes.fill(0);
    const other = vault.open(undefined, 3);
    expect(await contentsOf(other)).toEqual(["1 a1 epoch", "2 a1 1", "3 b2 epoch"]);
    expect(await other.positions()).toEqual([1, 2, 3]);
  });

  test("of which a part was written is not in the log, and the next primary begins there", async () => {
    const vault = new SteppedVault();
    const stop = new Stop("sync ");
    const writer = await makeHost(
      "a",
      vault.open((call) => (call.startsWith("sync ") ? stop.onCall(call) : undefined)),
    );
    const led = await writer.lead();
    led.append(commit(1)).catch(() => undefined);
    await stop.reached;
    for (const bytes of vault.segments.files.values()) bytes.fill(0, 512);
    const next = await makeHost("b", vault.open(undefined, 2)).lead();
    await next.append(commit(2));
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 b2 epoch", "3 b2 2"]);
  });

  test("that is damaged with another behind it is told as damage, not as the end", async () => {
    const vault = new SteppedVault();
    const writer = await makeHost("a", vault.open()).lead();
    for (let fill = 1; fill <= 2; fill += 1) await writer.append(commit(fill));
    for (const bytes of vault.segments.files.values()) {
      const header = decodeEntryHeader(bytes, Buffer.from(bytes).readUInt32LE(24));
      if (header?.position !== 2) continue;
      expect(entryBytes(header.contentBytes)).toBeLessThan(bytes.length);
      bytes[entryHeaderBytes + 20]! ^= 1;
    }
    expect(await failureOf(contentsOf(vault.open()))).toMatchObject({ kind: "corrupt-record" });
  });
});

describe("bytes of a record that look like an entry", () => {
  test("are none where the entry around them is torn: the log ends before it, and the next host leads", async () => {
    const vault = new SteppedVault();
    const writer = await makeHost("a", vault.open()).lead();
    await writer.append(commit(1));
    await writer.append(commit(2));
    for (const bytes of vault.segments.files.values()) {
      const second = Buffer.from(bytes).indexOf("STSG", 512);
      if (second < 0) continue;
      // Torn: its first block is not there, and in the next one the application has put what looks like record 4.
      bytes.fill(0, second, second + 512);
      bytes.set(encodeEntry("record", 4, Buffer.from("forged"), 0), second + 512);
    }
    vault.loseMarks();
    const log = vault.open(undefined, 2);
    await log.decideEnd();
    const next = await makeHost("b", log).lead();
    await next.append(commit(3));
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 a1 1", "3 b2 epoch", "4 b2 3"]);
  });
});

describe("marks that a power failure has taken", () => {
  async function withoutMarks(): Promise<SteppedVault> {
    const vault = new SteppedVault();
    const writer = await makeHost("a", vault.open()).lead();
    for (let fill = 1; fill <= 3; fill += 1) await writer.append(commit(fill));
    vault.loseMarks();
    return vault;
  }

  test("hide the last record, until the end is decided", async () => {
    const vault = await withoutMarks();
    const log = vault.open(undefined, 2);
    expect((await contentsOf(log)).at(-1)).toBe("3 a1 2");
    await log.decideEnd();
    expect((await contentsOf(log)).at(-1)).toBe("4 a1 3");
    expect((await contentsOf(vault.open())).at(-1)).toBe("4 a1 3");
  });

  test("let a host that had read to the end claim right after it", async () => {
    const vault = new SteppedVault();
    const writer = await makeHost("a", vault.open()).lead();
    await writer.append(commit(1));
    const next = makeHost("b", vault.open(undefined, 2));
    await readToEnd(next.reader);
    vault.loseMarks();
    expect((await next.claim()).kind).toBe("claimed");
    expect(await contentsOf(vault.open())).toContain("2 a1 1");
  });

  test("hide a claim that has led, and not from the next claimant", async () => {
    const vault = new SteppedVault();
    await makeHost("a", vault.open()).lead();
    await makeHost("b", vault.open(undefined, 2)).lead();
    vault.loseMarks();
    const next = makeHost("c", vault.open(undefined, 3));
    await readToEnd(next.reader);
    while ((await next.claim()).kind !== "claimed") await readToEnd(next.reader);
    expect(await contentsOf(vault.open())).toEqual(["1 a1 epoch", "2 b2 epoch", "3 c3 epoch"]);
  });
});

test("a claim is made durable before the next number is taken: a power failure leaves no gap before it", async () => {
  const vault = new SteppedVault();
  await makeHost("a", vault.open()).lead();
  await vault.objects.putIfAbsent(claimKey(2), new Uint8Array(16));
  const puts: string[] = [];
  const log = vault.open((call) => void (call.startsWith("put claims/") && puts.push(call)), 2);
  await makeHost("b", log).lead();
  expect(puts).toEqual([`put ${claimKey(2)}`, `put ${claimKey(3)}`]);
});

test("the claim that another host has created first is not taken for one's own", async () => {
  const vault = new SteppedVault();
  await makeHost("a", vault.open()).lead();
  let isTaken = false;
  const log = vault.open(async (call) => {
    if (call !== `put ${claimKey(2)}` || isTaken) return;
    isTaken = true;
    await vault.objects.putIfAbsent(claimKey(2), new Uint8Array(16));
  }, 2);
  await makeHost("b", log).lead();
  expect(await vault.keysOf("seals/")).toEqual([sealKey(1), sealKey(3)]);
});

test("a claim whose seal was put by an attempt that failed is told as put before (R5 counts from that attempt)", async () => {
  const vault = new SteppedVault();
  let isFailing = true;
  const host = makeHost(
    "a",
    vault.open((call) => {
      if (isFailing && call === `get ${claimKey(2)}`) throw new StoreError("unavailable", "away", "wait");
    }),
  );
  const log = host.reader.log;
  const bytes = await recordOf(vault);
  await failureOf(log.put(1, bytes));
  isFailing = false;
  expect(await log.put(1, bytes)).toEqual({ kind: "exists" });
});

/** A claim of another vault, as bytes. */
async function recordOf(vault: SteppedVault): Promise<Uint8Array> {
  const other = new SteppedVault();
  await makeHost("a", other.open()).lead();
  expect(await vault.keysOf("claims/")).toEqual([]);
  return (await other.open().get(1)) ?? new Uint8Array();
}

test("look-ups at the same time find each record at its own position", async () => {
  const vault = new SteppedVault();
  const writer = await makeHost("a", vault.open()).lead();
  for (let fill = 1; fill <= 6; fill += 1) await writer.append(commit(fill));
  const log = vault.open(() => new Promise((resolve) => setImmediate(resolve)));
  const found = await Promise.all([7, 3, 5, 2, 6, 4].map((position) => log.get(position)));
  const whole = vault.open();
  for (const [index, position] of [7, 3, 5, 2, 6, 4].entries())
    expect(Buffer.from(found[index] ?? []).equals((await whole.get(position)) ?? new Uint8Array())).toBe(true);
});

test("retention reads a segment once, and none behind the boundary", async () => {
  const vault = new SteppedVault();
  let reads: string[] = [];
  const log = vault.open((call) => void (call.startsWith("read segments/") && reads.push(call)));
  const writer = await makeHost("a", log).lead();
  for (let fill = 1; fill <= 40; fill += 1) await writer.append(commit(fill));
  const segments = await vault.keysOf(segmentPrefix);
  expect(segments.length).toBeGreaterThan(3);
  reads = [];
  const { names, kept } = await log.removeUpTo(20);
  const left = await vault.keysOf(segmentPrefix);
  const removed = segments.filter((key) => !left.includes(key));
  // The claim stays, and what lies in the segment of the boundary.
  expect([names.length + kept, removed.length > 1]).toEqual([20, true]);
  // Those that went, and the one of the boundary; each has less than the reading goes ahead.
  expect([...new Set(reads)]).toEqual(segments.slice(0, removed.length + 1).map((key) => `read ${key}`));
  for (const key of removed) expect(reads.filter((call) => call === `read ${key}`).length).toBeLessThanOrEqual(2);
});

test("a segment that retention removes while it is read is gone, and not damaged", async () => {
  const vault = new SteppedVault();
  const writer = await makeHost("a", vault.open()).lead();
  for (let fill = 1; fill <= 12; fill += 1) await writer.append(commit(fill));
  const [first = ""] = await vault.keysOf(segmentPrefix);
  const log = vault.open(async (call) => {
    if (call === `read ${first}`) await vault.objects.delete(first);
  });
  expect(await log.get(2)).toBeUndefined();
});
