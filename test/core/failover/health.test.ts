import { describe, expect, test } from "bun:test";
import {
  doubted,
  seenFailing,
  seenWell,
  streamEnded,
  unknownHealth,
  type HostHealth,
} from "../../../src/core/failover/health.ts";

const settings = { fall: 3, rise: 2 };
const up = (at: number): HostHealth => seenWell(unknownHealth, at, settings);

describe("a host's health", () => {
  test("is up at the first good sign of a host that had never reported", () => {
    expect(up(5)).toEqual({ kind: "up", since: 5, lastWellAt: 5, failures: 0, refusals: 0, doubt: undefined });
  });

  test("is down after as many failures in a row as `fall` says, and keeps the time when it was last healthy", () => {
    let health = up(0);
    for (const at of [10, 20]) health = seenFailing(health, "timeout", at, at, settings);
    expect(health).toMatchObject({ kind: "up", failures: 2 });
    expect(seenFailing(health, "reset", 30, 30, settings)).toEqual({
      kind: "down",
      since: 30,
      lastWellAt: 0,
      cause: "reset",
      successes: 0,
      failedAt: 30,
    });
  });

  test("is down after two refused connections, whatever `fall` says", () => {
    const once = seenFailing(up(0), "refused", 1, 1, settings);
    expect(once.kind).toBe("up");
    expect(seenFailing(once, "refused", 2, 2, settings)).toMatchObject({ kind: "down", cause: "refused" });
  });

  test("does not add a refusal before a time-out to one after it", () => {
    let health = seenFailing(up(0), "refused", 1, 1, { fall: 9, rise: 2 });
    health = seenFailing(health, "timeout", 2, 2, { fall: 9, rise: 2 });
    health = seenFailing(health, "refused", 3, 3, { fall: 9, rise: 2 });
    expect(health.kind).toBe("up");
  });

  test("ignores failures of probes that were started before the last good sign", () => {
    const health = up(100);
    expect(seenFailing(health, "timeout", 99, 600, settings)).toBe(health);
  });

  test("is up again only after as many good signs in a row as `rise` says", () => {
    let health: HostHealth = {
      kind: "down",
      since: 0,
      lastWellAt: undefined,
      cause: "timeout",
      successes: 0,
      failedAt: 0,
    };
    health = seenWell(health, 1, settings);
    expect(health.kind).toBe("down");
    health = seenFailing(health, "timeout", 2, 2, settings);
    health = seenWell(health, 3, settings);
    expect(health.kind).toBe("down");
    expect(seenWell(health, 4, settings).kind).toBe("up");
  });

  test("a doubt changes nothing but the doubt, and only the first one counts", () => {
    const health = doubted(up(0), "requests fail");
    expect(health).toMatchObject({ kind: "up", doubt: "requests fail" });
    expect(doubted(health, "again")).toBe(health);
    expect(doubted(unknownHealth, "x")).toBe(unknownHealth);
  });

  test("the end of a stream that was alive is the last moment at which the host was healthy", () => {
    expect(streamEnded(up(0), 500, 750)).toMatchObject({ lastWellAt: 500 });
    expect(streamEnded(up(0), 5000, 750)).toMatchObject({ lastWellAt: 0 });
  });
});
