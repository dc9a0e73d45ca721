import { describe, expect, test } from "bun:test";
import type { Follower } from "../../../src/host/secondary/follower.ts";
import { type HostReplica, Secondary } from "../../../src/host/secondary/secondary.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

interface Parts {
  readonly follow?: () => Promise<void>;
  readonly handOver?: HostReplica["handOver"];
}

/** A secondary of parts that note what is done with them. */
function secondaryOf({ follow = () => Promise.resolve(), handOver = () => new Map() }: Parts) {
  const done: string[] = [];
  const warnings: string[] = [];
  const clock = new ManualClock();
  const follower = { follow, close: () => Promise.resolve(void done.push("follower closed")) } as unknown as Follower;
  const replica = {
    handOver: () => {
      done.push("handed over");
      return handOver();
    },
    close: () => Promise.resolve(void done.push("replica closed")),
  } as unknown as HostReplica;
  const secondary = new Secondary({
    follower,
    replica,
    clock,
    pollMs: () => 5,
    warnings: { warn: (text) => warnings.push(text) },
  });
  return { secondary, done, warnings, clock };
}

describe("a secondary", () => {
  test("waits for a vault that does not answer, longer each time, and follows on", async () => {
    const waits: number[] = [];
    const stop = new AbortController();
    let failures = 3;
    const { secondary, warnings, clock } = secondaryOf({
      follow: () => {
        failures -= 1;
        if (failures >= 0) return Promise.reject(new StoreError("unavailable", "the vault is away", "wait"));
        stop.abort();
        return Promise.resolve();
      },
    });
    const sleep = clock.sleep.bind(clock);
    clock.sleep = (delayMs, signal) => {
      waits.push(delayMs);
      const slept = sleep(delayMs, signal);
      clock.advance(delayMs);
      return slept;
    };
    await secondary.follow(stop.signal);
    expect(waits).toEqual([100, 200, 400]);
    expect(new Set(warnings)).toEqual(new Set(["the vault cannot be read: the vault is away (wait)"]));
  });

  test("rejects with what makes it impossible to follow from here", async () => {
    const { secondary } = secondaryOf({ follow: () => Promise.reject(new Error("record 7 is damaged")) });
    await expect(secondary.follow(new AbortController().signal)).rejects.toThrow("record 7 is damaged");
  });

  test("ends its follower before it hands the databases over, and before it closes them", async () => {
    const { secondary, done } = secondaryOf({});
    expect(await secondary.handOver()).toEqual({ kind: "handed-over", known: new Map(), files: undefined });
    expect(done).toEqual(["follower closed", "handed over"]);
    await secondary.close();
    expect(done.slice(2)).toEqual(["follower closed", "replica closed"]);
  });

  test("says why the databases are not what the journal made of them", async () => {
    const { secondary } = secondaryOf({
      handOver: () => {
        throw new Error("another process wrote into a.db");
      },
    });
    expect(await secondary.handOver()).toEqual({ kind: "diverged", reason: "another process wrote into a.db" });
  });
});
