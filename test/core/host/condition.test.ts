import { describe, expect, test } from "bun:test";
import {
  type ConditionEvent,
  type HostCondition,
  impairmentsOf,
  initialCondition,
  stepCondition,
  vaultHealthOf,
} from "../../../src/core/host/condition.ts";

const place = "the data folder /var/lib/notes";
const stallMs = 5_000;

function after(...events: readonly (readonly [number, ConditionEvent])[]): HostCondition {
  return events.reduce((condition, [at, event]) => stepCondition(condition, event, at), initialCondition("0f7a"));
}
const asked: ConditionEvent = { kind: "disk-asked", place };
const answered = (code?: string): ConditionEvent => ({
  kind: "disk-answered",
  place,
  failure: code === undefined ? undefined : { code, message: `${code}: it failed` },
});

describe("a disk", () => {
  test("that takes writes impairs nothing", () => {
    expect(impairmentsOf(after([0, asked], [3, answered()]), 9_000, stallMs)).toEqual([]);
  });

  test("is named by what is wrong with it: read-only, full, I/O errors, or the error's own words", () => {
    const reasons = ["EROFS", "ENOSPC", "EDQUOT", "EIO", "EACCES"].map(
      (code) => impairmentsOf(after([0, asked], [1, answered(code)]), 1, stallMs)[0]?.reason,
    );
    expect(reasons).toEqual([
      `${place} is read-only`,
      `${place} is full`,
      `${place} is full`,
      `${place} gives I/O errors`,
      `${place} cannot be written: EACCES: it failed`,
    ]);
  });

  test("is impaired from the first failure until a write succeeds again", () => {
    const failing = after([0, asked], [10, answered("EIO")], [2_000, asked], [2_010, answered("EIO")]);
    expect(impairmentsOf(failing, 3_010, stallMs)).toEqual([
      { kind: "disk", reason: `${place} gives I/O errors`, forMs: 3_000 },
    ]);
    expect(impairmentsOf(stepCondition(failing, answered(), 4_000), 4_000, stallMs)).toEqual([]);
  });

  test("that hangs is impaired when it has not answered for the stall, without any event, and healthy with its answer", () => {
    const hanging = after([1_000, asked]);
    expect(impairmentsOf(hanging, 6_000, stallMs)).toEqual([]);
    expect(impairmentsOf(hanging, 6_001, stallMs)).toEqual([
      { kind: "disk", reason: `${place} has not answered a small write for more than 5000 ms`, forMs: 5_001 },
    ]);
    expect(impairmentsOf(stepCondition(hanging, answered(), 60_000), 60_000, stallMs)).toEqual([]);
  });

  test("was not asked when the process had no descriptor left", () => {
    const out = after(
      [0, asked],
      [1, answered("EMFILE")],
      [1, { kind: "descriptors-ran-out", reason: "no descriptor is left" }],
    );
    expect(impairmentsOf(out, 1, stallMs)).toEqual([
      { kind: "descriptors", reason: "no descriptor is left", forMs: 0 },
    ]);
    expect(impairmentsOf(stepCondition(out, { kind: "descriptors-are-there" }, 2), 2, stallMs)).toEqual([]);
  });
});

describe("the vault as this host finds it", () => {
  const failed: ConditionEvent = { kind: "vault-failed", reason: "EROFS" };

  test("has a latency, the median of the last writes, and says when it was written", () => {
    const condition = after(
      ...[1, 2, 3, 500, 2].map((ms, index) => [index * 100, { kind: "vault-wrote", ms }] as const),
    );
    expect(vaultHealthOf(condition, 1_000)).toEqual({ id: "0f7a", wroteMs: 600, writeError: undefined, latencyMs: 2 });
  });

  test("has the slower of the two in the middle of an even number of writes", () => {
    const condition = after([0, { kind: "vault-wrote", ms: 1 }], [1, { kind: "vault-wrote", ms: 9 }]);
    expect(vaultHealthOf(condition, 2).latencyMs).toBe(9);
    expect(vaultHealthOf(after([0, { kind: "vault-wrote", ms: 1 }]), 2).latencyMs).toBe(1);
  });

  test("forgets old latencies: a vault that became slow is slow", () => {
    const quick = Array.from({ length: 50 }, (_, index) => [index, { kind: "vault-wrote", ms: 1 }] as const);
    const slow = Array.from({ length: 9 }, (_, index) => [50 + index, { kind: "vault-wrote", ms: 900 }] as const);
    expect(vaultHealthOf(after(...quick, ...slow), 60).latencyMs).toBe(900);
  });

  test("impairs the host from the first write that failed until the next that did not", () => {
    const condition = after(
      [0, { kind: "vault-wrote", ms: 1 }],
      [100, failed],
      [900, { kind: "vault-failed", reason: "EROFS for another key" }],
    );
    expect(impairmentsOf(condition, 1_100, stallMs)).toEqual([{ kind: "vault", reason: "EROFS", forMs: 1_000 }]);
    expect(vaultHealthOf(condition, 1_100)).toEqual({
      id: "0f7a",
      wroteMs: 1_100,
      writeError: "EROFS",
      latencyMs: 1,
    });
    const over = stepCondition(condition, { kind: "vault-wrote", ms: 1 }, 1_200);
    expect([impairmentsOf(over, 1_200, stallMs), vaultHealthOf(over, 1_200).writeError]).toEqual([[], undefined]);
  });

  test("was never written by a host that has just started", () => {
    expect(vaultHealthOf(initialCondition(undefined), 5)).toEqual({
      id: undefined,
      wroteMs: undefined,
      writeError: undefined,
      latencyMs: undefined,
    });
  });
});
