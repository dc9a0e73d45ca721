/**
 * What the simulator found (docs/SIMULATION.md), each on the smallest parts that show it: seeds change their meaning,
 * these do not.
 */
import { describe, expect, test } from "bun:test";
import { allRules, type Rules, withoutRule } from "../../src/core/rules.ts";
import { FencedError, LeftBehindError } from "../../src/vault/errors.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { LogReader } from "../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../src/vault/log/log-writer.ts";
import { StoreLog } from "../../src/vault/log/store-log.ts";
import { ForwardingStore } from "../../src/vault/store/forwarding-store.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import type { PutOutcome, Store } from "../../src/vault/store/store.ts";
import { StoreError } from "../../src/vault/store/store.ts";
import { Follower } from "../../src/host/secondary/follower.ts";
import { claimEpoch } from "../../src/host/primary/claim.ts";
import { Scenario } from "../support/core/failover-scenario.ts";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { SimProcess } from "./sim-process.ts";
import { World } from "./world.ts";

const genesis = { position: 0, hash: "0".repeat(64) };

/** A store that answers when the test says so, in the order of the calls, and can be told to fail. */
class WatchedStore extends ForwardingStore {
  declare readonly inner: Store;
  gets: string[] = [];
  inFlight = 0;
  inFlightMost = 0;
  onPut: (key: string, bytes: Uint8Array) => Promise<PutOutcome> = (key, bytes) => this.inner.putIfAbsent(key, bytes);
  onGet: (key: string) => Promise<void> = () => Promise.resolve();

  constructor() {
    super(new MemoryStore());
  }

  override putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    return this.onPut(key, bytes);
  }

  override async get(key: string): Promise<Uint8Array | undefined> {
    this.gets.push(key);
    this.inFlight += 1;
    this.inFlightMost = Math.max(this.inFlightMost, this.inFlight);
    const found = await this.inner.get(key);
    await this.onGet(key);
    this.inFlight -= 1;
    return found;
  }
}

class Place {
  readonly world = new World({ keepTrace: false });
  readonly store = new WatchedStore();
  readonly #dice = new SeededRandom(1);

  readerOf(rules: Rules = allRules, store: Store = this.store): LogReader {
    return new LogReader({ log: new StoreLog(store, "sim"), start: genesis, rules });
  }

  ports(host: string, rules: Rules = allRules) {
    const { clock } = new SimProcess(this.world, host, { rate: 1, wallStartMs: 0 });
    return { clock, random: this.#dice, rules, host, leaseMs: 1_000, controlUrl: `http://${host}`, instance: host };
  }

  async lead(host: string, rules: Rules = allRules): Promise<LogWriter> {
    const reader = this.readerOf(rules);
    while ((await reader.next()) !== undefined);
    const outcome = await LogWriter.claim({ reader, ...this.ports(host, rules) });
    if (outcome.kind !== "claimed") throw new Error(outcome.kind);
    return outcome.writer;
  }

  /** Runs the virtual clock until the promise has settled. */
  async until<T>(promise: Promise<T>): Promise<T> {
    let isOver = false;
    const settled = promise.finally(() => (isOver = true));
    settled.catch(() => undefined);
    await this.world.runUntil(this.world.now + 1_000_000, () => isOver);
    return settled;
  }
}

const failureOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  );

describe("a reader that is behind", () => {
  test("has several look-ups in flight, and one when it has caught up", async () => {
    const place = new Place();
    const writer = await place.lead("a");
    for (let i = 0; i < 40; i++) await writer.append({ kind: "renew" });
    place.store.inFlightMost = 0;
    place.store.onGet = () => new Promise((resolve) => setImmediate(resolve));
    const reader = place.readerOf();
    while ((await reader.next()) !== undefined);
    expect(reader.position).toBe(41);
    expect(place.store.inFlightMost).toBeGreaterThan(4);
    place.store.inFlightMost = 0;
    place.store.gets = [];
    await writer.append({ kind: "renew" });
    while ((await reader.next()) !== undefined);
    expect(place.store.inFlightMost).toBe(1);
    expect(place.store.gets).toEqual([logKey(42), logKey(43)]);
  });

  test("believes in the end of the log only from a look-up that began after it was asked (R1)", async () => {
    const place = new Place();
    const writer = await place.lead("a");
    for (let i = 0; i < 4; i++) await writer.append({ kind: "renew" });
    const reader = place.readerOf();
    // So far ahead that positions beyond the end were looked for, and missed.
    while (reader.position < 5) await reader.next();
    expect(place.store.gets).toContain(logKey(6));
    await writer.append({ kind: "renew" });
    expect((await reader.next())?.header.position).toBe(6);
  });
});

describe("a hole that retention left", () => {
  /** A reader at position 2; position 3 was deleted, and a void claim has landed there. */
  async function hole(rules: Rules): Promise<LogReader> {
    const place = new Place();
    const writer = await place.lead("a");
    await writer.append({ kind: "renew" });
    const reader = place.readerOf(rules);
    const sleeper = place.readerOf();
    while ((await reader.next()) !== undefined);
    while ((await sleeper.next()) !== undefined);
    for (let i = 0; i < 3; i++) await writer.append({ kind: "renew" });
    await new StoreLog(place.store, "sim").removeUpTo(3);
    expect((await LogWriter.claim({ reader: sleeper, ...place.ports("z") })).kind).toBe("void");
    return reader;
  }

  test("a void claim in it is not believed by a reader that was left behind", async () => {
    const reader = await hole(allRules);
    expect(await failureOf(reader.next())).toBeInstanceOf(LeftBehindError);
    expect(reader.epoch).toBe(1);
  });

  test("without the rule it is believed", async () => {
    const reader = await hole(withoutRule("R4-boundary-check"));
    expect((await reader.next())?.header.host).toBe("z");
  });

  /**
   * The put of position 2 times out and has happened; while its writer hangs the record is read, succeeded and deleted.
   */
  async function zombie(rules: Rules): Promise<Promise<unknown>> {
    const place = new Place();
    const writer = await place.lead("a", rules);
    let isFirst = true;
    place.store.onPut = async (key, bytes) => {
      if (key !== logKey(2) || !isFirst) return place.store.inner.putIfAbsent(key, bytes);
      isFirst = false;
      await place.store.inner.putIfAbsent(key, bytes);
      const next = await place.lead("b");
      await next.append({ kind: "renew" });
      await new StoreLog(place.store.inner, "sim").removeUpTo(2);
      throw new StoreError("ambiguous", "no answer", "wait");
    };
    return place.until(writer.append({ kind: "renew" }));
  }

  test("a put that is repeated into it is no sign of life: its writer is fenced", async () => {
    expect(await failureOf(zombie(allRules))).toBeInstanceOf(FencedError);
  });

  test("without the rule it counts as one", async () => {
    expect(await failureOf(zombie(withoutRule("R4-boundary-check")))).toBeUndefined();
  });
});

describe("a claim", () => {
  async function followerOf(place: Place): Promise<Follower> {
    const target = { apply: () => Promise.resolve(), checksums: () => new Map() };
    const { clock } = place.ports("b");
    const follower = new Follower({
      reader: place.readerOf(),
      target,
      clock,
      onRecord: () => undefined,
      epochAtStart: undefined,
    });
    await follower.catchUp();
    return follower;
  }

  test("waits for a vault that is away for a moment", async () => {
    const place = new Place();
    await place.lead("a");
    const follower = await followerOf(place);
    let failures = 3;
    place.store.onGet = () =>
      failures-- > 0 ? Promise.reject(new StoreError("unavailable", "away", "wait")) : Promise.resolve();
    expect((await place.until(claimEpoch(follower, { ...place.ports("b"), overEpoch: 1 }))).kind).toBe("claimed");
  });

  test("gives up behind a primary that is always faster", async () => {
    const place = new Place();
    const writer = await place.lead("a");
    const follower = await followerOf(place);
    place.store.onPut = async (key, bytes) => {
      await place.world.runUntil(place.world.now + 100);
      place.store.onPut = async (again, content) => place.store.inner.putIfAbsent(again, content);
      if (key === logKey(writer.position + 1)) await writer.append({ kind: "renew" });
      place.store.onPut = faster;
      return place.store.inner.putIfAbsent(key, bytes);
    };
    const faster = place.store.onPut;
    expect(await claimEpoch(follower, { ...place.ports("b"), overEpoch: 1 })).toEqual({ kind: "outrun", host: "a" });
  });
});

describe("an order whose connection died in silence", () => {
  test("a candidate that is a secondary still is not waited for", () => {
    const scenario = Scenario.serving().refused("a").refused("a");
    expect(scenario.phase).toBe("promoting");
    const { call } = scenario;
    for (let i = 0; i < 30 && scenario.phase === "promoting" && scenario.call === call; i++) {
      scenario.now += 250;
      scenario.hears("b").hears("c");
    }
    expect(scenario.all("cancel").map((effect) => effect.call)).toContain(call);
    expect(scenario.all("promote").length).toBe(2);
  });

  test("a candidate that has become primary is believed", () => {
    const scenario = Scenario.serving().refused("a").refused("a");
    for (let i = 0; i < 30; i++) {
      scenario.now += 250;
      scenario.hears("b", { role: "primary", epoch: 2, epochHost: "b" }).hears("c", { epoch: 2, epochHost: "b" });
    }
    expect(scenario.phase).toBe("serving");
    expect(scenario.state.primary?.host).toBe("b");
  });
});
