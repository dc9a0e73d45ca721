import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { checkLinearizable, type Event, type Model } from "./linearizability.ts";

type Input = { readonly kind: "write"; readonly value: number } | { readonly kind: "read" };

const register: Model<number, Input, number> = {
  initial: 0,
  step: (state, input, output) => {
    if (input.kind === "write") return input.value;
    return output === undefined || output === state ? state : undefined;
  },
  keyOf: String,
};

const write = (calledAt: number, returnedAt: number, value: number): Event<Input, number> => ({
  calledAt,
  returnedAt,
  input: { kind: "write", value },
  output: 0,
});
const read = (calledAt: number, returnedAt: number, output: number): Event<Input, number> => ({
  calledAt,
  returnedAt,
  input: { kind: "read" },
  output,
});
const lost = (calledAt: number, value: number): Event<Input, number> => ({
  calledAt,
  returnedAt: Infinity,
  input: { kind: "write", value },
  output: undefined,
});
const verdict = (...events: Event<Input, number>[]): string => checkLinearizable(events, register).kind;

describe("the checker of histories", () => {
  test("accepts nothing at all, and one operation after the other", () => {
    expect(verdict()).toBe("linearizable");
    expect(verdict(write(0, 1, 1), read(2, 3, 1), write(4, 5, 2), read(6, 7, 2))).toBe("linearizable");
  });

  test("refuses a read of what was overwritten before it began", () => {
    expect(verdict(write(0, 1, 1), write(2, 3, 2), read(4, 5, 1))).toBe("not-linearizable");
  });

  test("accepts a read beside a write with the old value and with the new one", () => {
    expect(verdict(write(0, 1, 1), write(2, 6, 2), read(3, 4, 1))).toBe("linearizable");
    expect(verdict(write(0, 1, 1), write(2, 6, 2), read(3, 4, 2))).toBe("linearizable");
  });

  test("refuses the new value and then the old one, beside one write", () => {
    expect(verdict(write(0, 10, 1), read(1, 2, 1), read(3, 4, 0))).toBe("not-linearizable");
    expect(verdict(write(0, 10, 1), read(1, 2, 0), read(3, 4, 1))).toBe("linearizable");
  });

  test("refuses a value that no client wrote", () => {
    expect(verdict(write(0, 1, 1), read(2, 3, 7))).toBe("not-linearizable");
  });

  test("lets a write that never returned happen at any time after its call, or never", () => {
    expect(verdict(write(0, 1, 1), lost(2, 2), read(3, 4, 1), read(5, 6, 2))).toBe("linearizable");
    expect(verdict(write(0, 1, 1), lost(2, 2), read(3, 4, 1))).toBe("linearizable");
    expect(verdict(write(0, 1, 1), lost(2, 2), read(3, 4, 2), read(5, 6, 1))).toBe("not-linearizable");
  });

  test("does not let a write happen before it was called", () => {
    expect(verdict(read(0, 1, 2), write(2, 3, 2))).toBe("not-linearizable");
    expect(verdict(read(0, 1, 2), lost(2, 2))).toBe("not-linearizable");
  });

  test("needs to go back: the first order that fits at the beginning does not fit to the end", () => {
    // Two writes beside each other; only the order 2, 1 explains both reads.
    expect(verdict(write(0, 4, 1), write(0, 4, 2), read(5, 6, 1))).toBe("linearizable");
    expect(verdict(write(0, 4, 1), write(0, 4, 2), read(1, 2, 2), read(5, 6, 1))).toBe("linearizable");
    expect(verdict(write(0, 4, 1), write(0, 4, 2), read(5, 6, 1), read(7, 8, 2))).toBe("not-linearizable");
  });

  test("knows the history of Herlihy and Wing in which reads of two clients disagree on the order", () => {
    const both = [write(0, 1, 1), write(0, 1, 2)];
    expect(verdict(...both, read(2, 3, 1), read(4, 5, 1))).toBe("linearizable");
    expect(verdict(...both, read(2, 3, 1), read(4, 5, 2))).toBe("not-linearizable");
  });

  test("agrees with trying all orders, on thousands of small histories", () => {
    const dice = new SeededRandom(7);
    let good = 0;
    for (let round = 0; round < 4_000; round++) {
      const events = Array.from({ length: dice.int(1, 6) }, () => {
        const calledAt = dice.int(0, 12);
        const returnedAt = calledAt + dice.int(1, 8);
        if (dice.chance(0.15)) return lost(calledAt, dice.int(1, 3));
        return dice.chance(0.5)
          ? write(calledAt, returnedAt, dice.int(1, 3))
          : read(calledAt, returnedAt, dice.int(0, 3));
      });
      const expected = tryAllOrders(events);
      if (expected) good += 1;
      expect(verdict(...events)).toBe(expected ? "linearizable" : "not-linearizable");
    }
    expect(good).toBeGreaterThan(500);
    expect(good).toBeLessThan(3_500);
  });
});

/** The definition itself. */
function tryAllOrders(events: readonly Event<Input, number>[], state = register.initial): boolean {
  if (events.every(({ returnedAt }) => returnedAt === Infinity)) return true;
  return events.some((event, index) => {
    if (events.some((other) => other !== event && other.returnedAt < event.calledAt)) return false;
    const after = register.step(state, event.input, event.output);
    return after !== undefined && tryAllOrders(events.toSpliced(index, 1), after);
  });
}
