/**
 * Attack: one row whose stamp is 23 hours ahead and has a full counter. Its receivers follow it, and the next stamp
 * that they make has nine digits in place of eight: no peer accepts a message with such a row, in either direction,
 * also after a restart. Its kind: one row that is refused stops all others; a refusal that names a stamp of the far
 * future moves the clock of the gateway that is refused.
 *
 * Rule: the counter carries into the milliseconds; a false stamp is refused, named, and moves no clock; what is beside
 * it is accepted (src/core/replication/row.ts).
 */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { peerFormat, type PeerMessage } from "../../src/control/peer-api.ts";
import { faultOfStamp, stampCounterMax } from "../../src/core/replication/row.ts";
import { PeerClient } from "../../src/gateway/peers/peer-client.ts";
import { HybridClock } from "../../src/gateway/state/hybrid-clock.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { secret, until } from "../support/gateway/cluster.ts";
import { TestGateways } from "../support/gateway/gateways.ts";

const stamp = (ms: number, counter: number): string =>
  `${String(Math.floor(ms)).padStart(15, "0")}-${String(counter).padStart(8, "0")}`;
const hours = 3600 * 1_000;

describe("a hybrid clock", () => {
  test("carries into the milliseconds, and keeps the form of its stamps", () => {
    for (const counter of [stampCounterMax - 2, stampCounterMax - 1, 99_999_998, 99_999_999]) {
      const clock = new HybridClock(() => 1_000);
      clock.observe(stamp(5_000, counter));
      let before = stamp(5_000, counter);
      for (let i = 0; i < 5; i++) {
        const next = clock.next();
        expect(next).toMatch(/^\d{15}-\d{8}$/);
        expect(next > before).toBe(true);
        expect(faultOfStamp(next, 1_000)).toBeUndefined();
        before = next;
      }
    }
  });
});

describe("two gateways that replicate", () => {
  let cluster: TestGateways;
  beforeEach(() => {
    cluster = new TestGateways();
  });
  afterEach(() => cluster.stop());

  async function two(): Promise<void> {
    await cluster.addHost("a", { priority: 1 });
    const first = await cluster.add("g1", []);
    await cluster.add("g2", [first]);
    await cluster.together(2);
  }

  /** As a third gateway would: pushes these rows to g1. */
  async function push(rows: PeerMessage["rows"]): Promise<void> {
    const message: PeerMessage = {
      format: peerFormat,
      from: { id: "evil", origin: "evil~1", adminUrl: "http://127.0.0.1:9", registered: null, leaving: true },
      vector: null,
      known: 0,
      push: { since: 0, upTo: rows.length },
      after: null,
      next: null,
      tables: { hosts: ["service", "id", "control_url", "source"] },
      rows,
      views: [],
    };
    const client = new PeerClient(cluster.at("g1").adminUrl, secret, systemClock);
    const answer = await client.sync(message, 2_000, new AbortController().signal);
    client.close();
    expect(answer.kind).toBe("ok");
  }

  const row = (seq: number, id: string, hlc: string): PeerMessage["rows"][number] => [
    "hosts",
    "evil~1",
    seq,
    hlc,
    0,
    ["notes", id, "http://127.0.0.1:9", "operator"],
  ];
  const hostsOf = async (gateway: string): Promise<string[]> => {
    const list = await cluster.at(gateway).client.hosts();
    return list.kind === "ok" ? list.value.hosts.map(({ id }) => id) : [];
  };
  const everywhere = (host: string): Promise<true> =>
    until(async () => (await Promise.all(["g1", "g2"].map(hostsOf))).every((hosts) => hosts.includes(host)) && true);

  for (const [what, aheadMs, counter, words] of [
    ["with a full counter", 23 * hours, 99_999_999, "which no clock makes"],
    ["two days ahead", 48 * hours, 0, "more than a day ahead"],
  ] as const) {
    test(`continue both ways and across a restart, and name a row ${what}; the rows beside it are accepted`, async () => {
      await two();
      const now = systemClock.wallTime();
      await push([row(1, "false", stamp(now + aheadMs, counter)), row(2, "beside", stamp(now, 0))]);
      await everywhere("beside");
      const troubles = (await cluster.at("g1").status())?.troubles.join() ?? "";
      expect(troubles).toContain(words);
      expect(troubles).toContain("hosts notes/false, written by evil~1");
      const change = { controlUrl: "http://127.0.0.1:9", priority: 1 };
      await cluster.at("g1").client.addHost({ id: "x", ...change });
      await cluster.at("g2").client.addHost({ id: "y", ...change });
      await Promise.all([everywhere("x"), everywhere("y")]);
      await cluster.at("g1").end();
      await cluster.start("g1");
      await cluster.at("g1").client.addHost({ id: "z", ...change });
      await everywhere("z");
      expect([...(await hostsOf("g1")), ...(await hostsOf("g2"))]).not.toContain("false");
    }, 30_000);
  }
});
