import { describe, expect, test } from "bun:test";
import { type NamedRequest, namesPerFlushMax, RequestNames } from "../../src/core/request-names.ts";

const run = "00112233445566aa";
const named = (count: number, after = 0): NamedRequest => ({ run, count, after, isAgain: false });
const again = (count: number, after = 0): NamedRequest => ({ ...named(count, after), isAgain: true });
const nameOf = ({ run: of, count }: NamedRequest) => ({ run: of, count });
const whole = (...counts: number[]) => ({ names: counts.map((count) => nameOf(named(count))), isComplete: true });

describe("names of requests", () => {
  test("let a request be executed again that no flush has", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1, 2));
    expect(names.begin(again(3), 10)).toBe(true);
  });

  test("refuse one that a flush has, from any host", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1, 2));
    expect([names.begin(again(1), 10), names.begin(again(2), 10)]).toEqual([false, false]);
  });

  test("refuse one that this host has executed itself, whether or not a flush had it", () => {
    const names = new RequestNames();
    expect(names.begin(named(1, 5), 8)).toBe(true);
    expect(names.begin(again(1, 5), 8)).toBe(false);
  });

  test("tell runs of gateways apart", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1));
    expect(names.begin({ ...again(1), run: "ffffffffffffffff" }, 10)).toBe(true);
  });

  test("refuse what may be in a flush whose names are not known: of a checkpoint, of another version, left out", () => {
    const unknown: Readonly<Record<string, (names: RequestNames) => void>> = {
      checkpoint: (names) => names.isUnknownUntil(10),
      version: (names) => names.onFlush(10, undefined),
      "left out": (names) => names.onFlush(10, { names: [], isComplete: false }),
    };
    for (const make of Object.values(unknown)) {
      const names = new RequestNames();
      make(names);
      expect(names.begin(again(1, 9), 12)).toBe(false);
      expect(names.begin(again(2, 10), 12)).toBe(true);
    }
  });

  test("go with the next flush once, all of them", () => {
    const names = new RequestNames();
    names.begin(named(1), 3);
    names.begin(named(2), 3);
    expect(names.take().names.map(({ count }) => count)).toEqual([1, 2]);
    expect(names.take()).toEqual({ names: [], isComplete: true });
  });

  test("that are too many for a flush make it one that is not complete, and the next one is again", () => {
    const names = new RequestNames();
    for (let count = 1; count <= namesPerFlushMax + 1; count++) names.begin(named(count), 3);
    const taken = names.take();
    expect([taken.names.length, taken.isComplete]).toEqual([namesPerFlushMax, false]);
    names.begin(named(namesPerFlushMax + 2), 3);
    expect(names.take().isComplete).toBe(true);
  });

  test("of a request of which nothing was sent are withdrawn: from the flush, and from what is known", () => {
    const names = new RequestNames();
    names.begin(named(1), 3);
    names.begin(named(2), 3);
    names.withdraw(named(1));
    expect(names.take().names.map(({ count }) => count)).toEqual([2]);
    expect(names.begin(again(1), 3)).toBe(true);
    names.withdraw(named(2));
    expect(names.take().names.map(({ count }) => count)).toEqual([1]);
  });

  test("are forgotten when they are too many, and everything that began before counts as executed then", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1));
    names.begin(named(2, 15), 20);
    for (let count = 3; count < 65_538; count++) names.onFlush(30, whole(count));
    // The first was forgotten: it is in the flush at 10. The second is known.
    expect(names.begin(again(1, 9), 40)).toBe(false);
    expect(names.begin(again(2, 15), 40)).toBe(false);
    expect(names.begin(again(70_000, 10), 40)).toBe(true);
    // That one made the second be forgotten: what this host noted at 20 was in no flush up to 20.
    expect(names.begin(again(80_000, 20), 42)).toBe(false);
    expect(names.begin(again(80_001, 21), 42)).toBe(true);
  });
});
