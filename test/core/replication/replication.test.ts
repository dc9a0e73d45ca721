import { describe, expect, test } from "bun:test";
import { rowAnswer, rowRequest, takeAnswer, unknownPeer } from "../../../src/core/replication/exchange.ts";
import { assumedStamp, supersedes, type ReplicatedRow } from "../../../src/core/replication/row.ts";
import { RowReplica } from "../../../src/core/replication/replication.ts";
import { Network, sameRows } from "../../support/core/replication-network.ts";

const stamp = (ms: number, counter = 0): string =>
  `${String(ms).padStart(15, "0")}-${String(counter).padStart(8, "0")}`;
const version = (change: Partial<ReplicatedRow> = {}): ReplicatedRow => ({
  table: "hosts",
  key: "notes\na",
  values: { source: "config", x: 1 },
  origin: "g1~1",
  seq: 1,
  hlc: stamp(1),
  deleted: false,
  ...change,
});
const put = (replica: RowReplica, key: string, x: number, hlc: string): ReplicatedRow | undefined =>
  replica.write({ table: "health", key, values: { x }, deleted: false }, hlc);
const text = (replica: RowReplica): string =>
  JSON.stringify([...replica.rows()].sort((a, b) => (`${a.table} ${a.key}` < `${b.table} ${b.key}` ? -1 : 1)));

describe("the version of a row that stays", () => {
  test("is the newest, then decided by the origin, then by its number, and an operator's comes before any file's", () => {
    expect(supersedes(version({ hlc: stamp(2) }), version())).toBe(true);
    expect(supersedes(version({ origin: "g2~1" }), version())).toBe(true);
    expect(supersedes(version({ seq: 2 }), version())).toBe(true);
    expect(supersedes(version(), version())).toBe(false);
    const operator = version({ values: { source: "operator", x: 2 } });
    expect(supersedes(operator, version({ hlc: stamp(9) }))).toBe(true);
    expect(supersedes(version({ hlc: stamp(9) }), operator)).toBe(false);
    expect(supersedes(version(), version({ hlc: assumedStamp, origin: "z" }))).toBe(true);
  });

  test("is the same in every order of arrival, with repetitions", () => {
    const versions = [0, 1, 2, 3, 4, 5, 6, 7].map((n) =>
      version({
        origin: `g${n % 3}~1`,
        seq: n + 1,
        hlc: stamp([5, 5, 7, 7, 6, 7, 1, 5][n] ?? 0),
        deleted: n % 2 === 0,
        values: { source: n === 4 || n === 6 ? "operator" : "config", x: n },
      }),
    );
    const winners = new Set<string>();
    for (let turn = 0; turn < 500; turn++) {
      const shuffled = [...versions, ...versions]
        .map((row) => ({ row, at: Math.sin(turn * 99 + row.seq * 7 + Math.random()) }))
        .sort((a, b) => a.at - b.at);
      const replica = new RowReplica("me~1");
      for (const { row } of shuffled) replica.merge([row]);
      winners.add(text(replica));
    }
    expect(winners.size).toBe(1);
    expect([...winners][0]).toContain('"x":4');
  });
});

describe("a copy", () => {
  test("does not number a write that changes nothing, or that loses", () => {
    const replica = new RowReplica("g1~1");
    expect(put(replica, "a", 1, stamp(1))).toMatchObject({ seq: 1 });
    expect(put(replica, "a", 1, stamp(2))).toBeUndefined();
    expect(put(replica, "a", 2, assumedStamp)).toBeUndefined();
    expect(put(replica, "a", 2, stamp(3))).toMatchObject({ seq: 2 });
    expect(replica.vector.get("g1~1")).toBe(2);
  });

  test("does not believe a push with a gap, but keeps its rows", () => {
    const [from, to] = [new RowReplica("g1~1"), new RowReplica("g2~1")];
    put(from, "a", 1, stamp(1));
    put(from, "b", 1, stamp(2));
    const late = from.push(1, 10);
    if (late === undefined) throw new Error("nothing to push");
    expect(to.mergePush("g1~1", late).counted).toBe(false);
    expect(to.vector.get("g1~1")).toBeUndefined();
    expect(to.size).toBe(1);
    const whole = from.push(0, 10);
    if (whole === undefined) throw new Error("nothing to push");
    expect(to.mergePush("g1~1", whole).counted).toBe(true);
    expect(sameRows(from, to)).toBe(true);
  });

  test("forwards rows that it received with a gap, when the run that wrote them has lost them", () => {
    const [dead, heard, other] = [new RowReplica("g1~1"), new RowReplica("g2~1"), new RowReplica("g3~1")];
    put(dead, "a", 1, stamp(1));
    put(dead, "b", 1, stamp(2));
    const late = dead.push(1, 10);
    if (late === undefined) throw new Error("nothing to push");
    heard.mergePush("g1~1", late);
    const request = rowRequest(other, unknownPeer, true);
    const { answer } = rowAnswer(heard, request);
    takeAnswer(other, answer, unknownPeer);
    expect(other.get("health", "b")?.values).toEqual({ x: 1 });
    expect(other.vector.get("g1~1")).toBeUndefined();
  });

  test("sends in the place of its own write the version that superseded it", () => {
    const [g1, g2, g3] = [new RowReplica("g1~1"), new RowReplica("g2~1"), new RowReplica("g3~1")];
    put(g1, "a", 1, stamp(1));
    put(g1, "b", 1, stamp(2));
    put(g2, "a", 2, stamp(3));
    g1.merge([...g2.rows()]);
    const push = g1.push(0, 10);
    if (push === undefined) throw new Error("nothing to push");
    g3.mergePush("g1~1", push);
    // g3 now claims g1's first write; without the winner in its place it would never ask for it.
    expect(g3.get("health", "a")?.values).toEqual({ x: 2 });
  });

  test("is given in parts, and claims nothing before the last, also when rows change between two parts", () => {
    const [from, to] = [new RowReplica("g1~1"), new RowReplica("g2~1")];
    for (let n = 0; n < 20; n++) put(from, `k${n}`, n, stamp(n + 1));
    let peer = unknownPeer;
    for (let part = 0; ; part++) {
      const { answer } = rowAnswer(from, { ...rowRequest(to, peer, true), push: undefined }, 6);
      const taken = takeAnswer(to, answer, peer);
      peer = taken.peer;
      if (answer.next === undefined) break;
      expect(to.vector.get("g1~1")).toBeUndefined();
      // Written again while it is being read, before and behind the cursor.
      if (part === 0) put(from, "k1", 101, stamp(100));
      if (part === 1) put(from, "k19", 119, stamp(101));
    }
    expect(to.vector.get("g1~1")).toBe(22);
    expect(sameRows(from, to)).toBe(true);
  });

  test("begins a part again when its peer was restarted: the old numbers mean nothing any more", () => {
    const [from, to] = [new RowReplica("g1~1"), new RowReplica("g2~1")];
    for (let n = 0; n < 9; n++) put(from, `k${n}`, n, stamp(n + 1));
    const first = takeAnswer(to, rowAnswer(from, rowRequest(to, unknownPeer, true), 4).answer, unknownPeer);
    const again = new RowReplica("g1~2");
    again.merge([...from.rows()].reverse());
    again.claim(from.vector);
    const second = takeAnswer(to, rowAnswer(again, rowRequest(to, first.peer, true), 100).answer, first.peer);
    expect(second.more).toBe(false);
    expect(sameRows(again, to)).toBe(true);
  });

  test("forgets runs without any row left, and accepts a late row of such a run", () => {
    const replica = new RowReplica("g2~1");
    const old = version({ table: "health", key: "a", values: { x: 1 }, origin: "g1~0", seq: 7, hlc: stamp(1) });
    replica.merge([old]);
    replica.claim(new Map([["g1~0", 7]]));
    replica.forgetFinishedRuns(() => false);
    expect(replica.vector.get("g1~0")).toBe(7);
    put(replica, "a", 2, stamp(5));
    replica.forgetFinishedRuns(() => false);
    expect(replica.vector.has("g1~0")).toBe(false);
    replica.merge([old]);
    replica.claim(new Map([["g1~0", 7]]));
    expect(replica.get("health", "a")?.values).toEqual({ x: 2 });
    expect(replica.vector.has("g1~0")).toBe(false);
  });
});

const bad = { loss: 0.2, repeat: 0.2, delayMs: { min: 1, max: 400 }, sizeOf: null };

/** Registry and health changes by random gateways: few rows that are contended, many that are one gateway's own. */
function change(network: Network, gateways: number, number: number): void {
  const by = network.random(gateways);
  const kind = network.random(10);
  if (kind === 0)
    network.write(
      by,
      "hosts",
      `notes\nh${network.random(40)}`,
      { source: network.random(2) === 0 ? "config" : "operator", priority: number },
      network.random(5) === 0,
    );
  else if (kind === 1) network.write(by, "events", `g${by}.${number}`, { what: "x", detail: `number ${number}` });
  else
    network.write(by, "health", `g${by}\nnotes\nh${network.random(100)}`, {
      health: network.random(2) === 0 ? "up" : "down",
      position: number,
    });
}

describe("five gateways over a network that loses, repeats and reorders", () => {
  test.each([1, 2, 3])("hold the same after 10,000 changes (seed %i)", (seed) => {
    const network = new Network({ seed, gateways: 5, ...bad });
    for (let number = 1; number <= 10_000; number++) {
      change(network, 5, number);
      if (number % 10 === 0) network.run(10);
    }
    expect(network.converged()).toBe(false);
    expect(network.converge(60_000)).not.toBeNull();
    expect(network.node(0).replica.size).toBeGreaterThan(1_000);
    // And they know it of each other: the next exchange carries no row.
    network.run(10_000);
    const { answer } = rowAnswer(network.node(0).replica, rowRequest(network.node(1).replica, unknownPeer, true));
    expect(answer.rows).toEqual([]);
  });

  test("converge again after one was away for a day and one lost its database", () => {
    const network = new Network({ seed: 7, gateways: 5, ...bad });
    const some = (count: number, first: number): void => {
      for (let n = 0; n < count; n++) {
        change(network, 5, first + n);
        if (n % 10 === 0) network.run(20);
      }
    };
    some(1_000, 0);
    expect(network.converge(60_000)).not.toBeNull();
    network.setUp(4, false);
    const away = network.node(4).replica;
    const [rows, vector] = [[...away.rows()], new Map(away.vector)];
    some(1_500, 1_000);
    network.skip(24 * 3600 * 1_000);
    some(500, 2_500);
    network.restart(4, rows, vector);
    network.restart(3, [], new Map());
    some(200, 3_000);
    expect(network.converge(60_000)).not.toBeNull();
    expect(network.node(3).replica.size).toBeGreaterThan(300);
  });

  test("a write that a killed run had told a peer and not stored comes back to it", () => {
    const network = new Network({ seed: 3, gateways: 3, ...bad, loss: 0 });
    for (let n = 0; n < 50; n++) network.write(0, "hosts", `notes\nh${n}`, { source: "operator", priority: n });
    network.run(0);
    const stored = [[...network.node(0).replica.rows()], new Map(network.node(0).replica.vector)] as const;
    for (let n = 0; n < 50; n++) network.write(0, "hosts", `notes\nh${n}`, { source: "operator", priority: n + 1_000 });
    expect(network.converge(10_000)).not.toBeNull();
    network.restart(0, ...stored);
    network.write(0, "hosts", "notes\nnew", { source: "operator", priority: 1 });
    expect(network.converge(60_000)).not.toBeNull();
    expect(network.node(0).replica.get("hosts", "notes\nh7")?.values).toEqual({ source: "operator", priority: 1_007 });
    expect(network.node(2).replica.size).toBe(51);
  });

  test("converge after a partition into two halves has healed", () => {
    const network = new Network({ seed: 11, gateways: 5, ...bad });
    for (const a of [0, 1]) for (const b of [2, 3, 4]) network.cut(a, b, true);
    for (let n = 0; n < 2_000; n++) {
      change(network, 5, n);
      if (n % 10 === 0) network.run(10);
    }
    expect(network.converge(30_000)).toBeNull();
    for (const a of [0, 1]) for (const b of [2, 3, 4]) network.cut(a, b, false);
    expect(network.converge(60_000)).not.toBeNull();
  });
});
