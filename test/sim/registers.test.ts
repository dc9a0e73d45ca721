import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { checkLinearizable, type Event, type Model } from "./linearizability.ts";
import { checkRegister, type RegisterRead, type RegisterWrite } from "./registers.ts";

const write = (id: number, calledAt: number, returnedAt: number, executions = 1): RegisterWrite => ({
  id,
  calledAt,
  returnedAt,
  executions,
});
const read = (value: number, calledAt: number, returnedAt: number): RegisterRead => ({ value, calledAt, returnedAt });

type Input = { readonly kind: "write"; readonly value: number } | { readonly kind: "read" };
const register: Model<number, Input, number> = {
  initial: 0,
  step: (state, input, output) => (input.kind === "write" ? input.value : output === state ? state : undefined),
  keyOf: String,
};

/** By the search that needs no unique values. */
function bySearch(writes: readonly RegisterWrite[], reads: readonly RegisterRead[]): boolean {
  const events: Event<Input, number>[] = [
    ...writes.map(({ id, calledAt, returnedAt }) => ({
      calledAt,
      returnedAt,
      input: { kind: "write", value: id } as const,
      output: returnedAt === Infinity ? undefined : 0,
    })),
    ...reads.map(({ value, calledAt, returnedAt }) => ({
      calledAt,
      returnedAt,
      input: { kind: "read" } as const,
      output: value,
    })),
  ];
  return checkLinearizable(events, register).kind === "linearizable";
}

describe("a register", () => {
  test("has the last value that was written, and either of two that were written at once", () => {
    expect(checkRegister([write(1, 0, 1), write(2, 2, 3)], [read(2, 4, 5)])).toBeUndefined();
    expect(checkRegister([write(1, 0, 1), write(2, 2, 3)], [read(1, 4, 5)])).toContain(
      "2 was written and seen in between",
    );
    expect(checkRegister([write(1, 0, 3), write(2, 0, 3)], [read(1, 4, 5)])).toBeUndefined();
    expect(checkRegister([write(1, 0, 3), write(2, 0, 3)], [read(1, 4, 5), read(2, 6, 7)])).toContain("at once");
  });

  test("is empty before the first write, and not after it", () => {
    expect(checkRegister([write(1, 2, 3)], [read(0, 0, 1)])).toBeUndefined();
    expect(checkRegister([write(1, 2, 3)], [read(0, 4, 5)])).toBeDefined();
    expect(checkRegister([], [read(7, 4, 5)])).toContain("which no client wrote");
    expect(checkRegister([write(1, 2, 3)], [read(1, 0, 1)])).toContain("before it was written");
  });

  test("may get an unacknowledged value at any time after its call, once, or never", () => {
    expect(checkRegister([write(1, 0, Infinity)], [read(0, 1, 2), read(1, 50, 51)])).toBeUndefined();
    expect(checkRegister([write(1, 0, Infinity)], [read(0, 1, 2)])).toBeUndefined();
    expect(
      checkRegister([write(1, 0, Infinity), write(2, 10, 11)], [read(1, 5, 6), read(2, 12, 13), read(1, 14, 15)]),
    ).toBeDefined();
  });

  test("may get what was repeated twice before the answer, and not once more after it", () => {
    const writes = (executions: number): RegisterWrite[] => [write(1, 0, 30, executions), write(2, 10, 11)];
    const seenAgain = [read(1, 5, 6), read(2, 12, 13), read(1, 20, 21), read(1, 31, 32)];
    expect(checkRegister(writes(1), seenAgain)).toBeDefined();
    expect(checkRegister(writes(2), seenAgain)).toBeUndefined();
    // The late copy of a repeated request, after another client's newer write.
    expect(checkRegister([write(1, 0, 30, 2), write(2, 40, 41)], [read(2, 42, 43), read(1, 50, 51)])).toBeDefined();
  });

  test("agrees with the search on thousands of small histories", () => {
    const dice = new SeededRandom(11);
    let good = 0;
    for (let round = 0; round < 6_000; round++) {
      const count = dice.int(0, 3);
      const time = (): [number, number] => {
        const calledAt = dice.int(0, 12);
        return [calledAt, calledAt + dice.int(1, 8)];
      };
      const writes = Array.from({ length: count }, (_, i) => {
        const [calledAt, returnedAt] = time();
        return write(i + 1, calledAt, dice.chance(0.2) ? Infinity : returnedAt);
      });
      const reads = Array.from({ length: dice.int(0, 4) }, () => read(dice.int(0, count), ...time()));
      const expected = bySearch(writes, reads);
      if (expected) good += 1;
      expect({ writes, reads, isGood: checkRegister(writes, reads) === undefined }).toEqual({
        writes,
        reads,
        isGood: expected,
      });
    }
    expect(good).toBeGreaterThan(1_000);
    expect(good).toBeLessThan(5_000);
  });
});
