import { describe, expect, test } from "bun:test";
import { type Beginning, type NamedRequest, namesPerFlushMax, RequestNames } from "../../src/core/request-names.ts";
import type { RequestOutcome } from "../../src/core/request-outcome.ts";
import { allRules } from "../../src/core/rules.ts";

const run = "00112233445566aa";
const named = (count: number, after = 0): NamedRequest => ({ run, count, after, isAgain: false });
const again = (count: number, after = 0): NamedRequest => ({ ...named(count, after), isAgain: true });
const inDoubt: Beginning = { kind: "in-doubt", why: "named" };
const nameOf = ({ run: of, count }: NamedRequest) => ({ run: of, count });
const whole = (...counts: number[]) => ({ names: counts.map((count) => nameOf(named(count))), isComplete: true });

describe("names of requests", () => {
  test("let a request be executed again that no flush has", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1, 2));
    expect(names.begin(again(3), 10).kind).toBe("execute");
  });

  test("refuse one that a flush has, from any host", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1, 2));
    expect([names.begin(again(1), 10), names.begin(again(2), 10)]).toEqual([inDoubt, inDoubt]);
  });

  test("refuse one that this host has executed itself, whether or not a flush had it", () => {
    const names = new RequestNames();
    expect(names.begin(named(1, 5), 8).kind).toBe("execute");
    expect(names.begin(again(1, 5), 8).kind).toBe("in-doubt");
  });

  test("tell runs of gateways apart", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1));
    expect(names.begin({ ...again(1), run: "ffffffffffffffff" }, 10).kind).toBe("execute");
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
      expect(names.begin(again(1, 9), 12).kind).toBe("in-doubt");
      expect(names.begin(again(2, 10), 12).kind).toBe("execute");
    }
  });

  test("go with the next flush once, all of them", () => {
    const names = new RequestNames();
    names.begin(named(1), 3);
    names.begin(named(2), 3);
    expect(names.take().names.map(({ count }) => count)).toEqual([1, 2]);
    expect(names.take()).toEqual({ names: [], isComplete: true, isKeyed: false });
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
    expect(names.begin(again(1), 3).kind).toBe("execute");
    names.withdraw(named(2));
    expect(names.take().names.map(({ count }) => count)).toEqual([1]);
  });

  test("are forgotten when they are too many, and everything that began before counts as executed then", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1));
    names.begin(named(2, 15), 20);
    for (let count = 3; count < 65_538; count++) names.onFlush(30, whole(count));
    // The first was forgotten: it is in the flush at 10. The second is known.
    expect(names.begin(again(1, 9), 40).kind).toBe("in-doubt");
    expect(names.begin(again(2, 15), 40).kind).toBe("in-doubt");
    expect(names.begin(again(70_000, 10), 40).kind).toBe("execute");
    // That one made the second be forgotten: what this host noted at 20 was in no flush up to 20.
    expect(names.begin(again(80_000, 20), 42).kind).toBe("in-doubt");
    expect(names.begin(again(80_001, 21), 42).kind).toBe("execute");
  });
});

describe("outcomes of requests", () => {
  const outcomeOf = (text: string): RequestOutcome => ({
    kind: "whole",
    status: 201,
    reason: "Created",
    fields: "Content-Type: text/plain\r\n",
    body: Buffer.from(text),
  });
  const noted = (count: number, text: string) => ({ name: nameOf(named(count)), outcome: outcomeOf(text) });

  test("answer a repetition once their flush was read, whichever host is asked", () => {
    const names = new RequestNames();
    names.onFlush(10, whole(1, 2));
    names.onOutcomes(10, [noted(1, "one")], 0);
    expect(names.begin(again(1), 10)).toEqual({ kind: "recorded", outcome: outcomeOf("one") });
    expect(names.begin(again(2), 10)).toEqual(inDoubt);
    names.onOutcomes(12, [noted(2, "two")], 0);
    expect(names.begin(again(2), 12)).toEqual({ kind: "recorded", outcome: outcomeOf("two") });
  });

  test("of an own term count in it, and later only if their flush became durable before its end", () => {
    const names = new RequestNames();
    names.begin(named(1), 3);
    names.begin(named(2), 3);
    names.answered(named(1), outcomeOf("one"));
    const taken = names.takeOutcomes();
    names.answered(named(2), outcomeOf("two"));
    names.onDurable(names.take().names, taken, 0);
    expect([1, 2].map((count) => names.begin(again(count), 4).kind)).toEqual(["recorded", "recorded"]);
    names.beginTerm();
    expect(names.takeOutcomes()).toEqual([]);
    expect([1, 2].map((count) => names.begin(again(count), 9).kind)).toEqual(["recorded", "in-doubt"]);
  });

  test("a name of an own term that has ended, and that is in no flush by then, is as good as one that never began", () => {
    const names = new RequestNames();
    for (const count of [1, 2, 3]) names.begin(named(count), 3);
    names.withdraw(named(2));
    const lost = names.take().names;
    names.begin(named(2), 3);
    // Its put was lost or not: the log says so to this host too, which reads it before its next term.
    names.onFlush(5, { names: lost.slice(0, 1), isComplete: true });
    names.beginTerm();
    expect(names.take().names).toEqual([]);
    expect([1, 2, 3].map((count) => names.begin(again(count), 9).kind)).toEqual(["in-doubt", "execute", "execute"]);
  });

  test("wait for the next flush if there was nothing to put", () => {
    const names = new RequestNames();
    names.begin(named(1), 3);
    names.answered(named(1), outcomeOf("one"));
    names.giveBack(names.takeOutcomes());
    expect(names.takeOutcomes().length).toBe(1);
    expect(names.takeOutcomes()).toEqual([]);
  });

  test("are spread over flushes that are not too large, and the oldest are dropped where none comes", () => {
    const names = new RequestNames();
    for (let count = 1; count <= 100; count++) {
      names.begin(named(count), 3);
      names.answered(named(count), outcomeOf("x".repeat(100_000)));
    }
    const counts: number[][] = [];
    for (let taken = names.takeOutcomes(); taken.length > 0; taken = names.takeOutcomes())
      counts.push(taken.map(({ name }) => name.count));
    expect(counts.flat()[0]).toBeGreaterThan(50);
    expect(counts.flat().at(-1)).toBe(100);
    for (const each of counts) expect(each.length).toBeLessThanOrEqual(10);
  });

  test("are forgotten after their time, and when they are too large together: their names are in doubt then", () => {
    const names = new RequestNames(allRules, { keepMs: 1_000, bodyBytesMax: 1_000 });
    names.onFlush(10, whole(1, 2));
    names.onOutcomes(10, [noted(1, "one")], 0);
    names.onOutcomes(11, [noted(2, "two")], 600);
    expect(names.begin(again(1), 12, 1_000).kind).toBe("recorded");
    expect([1, 2].map((count) => names.begin(again(count), 12, 1_001).kind)).toEqual(["in-doubt", "recorded"]);
    const large = new RequestNames();
    large.onOutcomes(10, [noted(1, "x".repeat(20 * 2 ** 20)), noted(2, "x".repeat(20 * 2 ** 20))], 0);
    expect([1, 2].map((count) => large.begin(again(count), 12).kind)).toEqual(["in-doubt", "recorded"]);
  });

  test("are not kept where keep is 0", () => {
    const names = new RequestNames(allRules, { keepMs: 0, bodyBytesMax: 1_000 });
    names.begin(named(1), 3);
    names.answered(named(1), outcomeOf("one"));
    expect(names.takeOutcomes()).toEqual([]);
  });
});

describe("a table that goes with a checkpoint", () => {
  test("tells a host that restores it what the primary knew, and what that does not know either", () => {
    const primary = new RequestNames();
    primary.isUnknownUntil(10);
    primary.onFlush(20, whole(1, 2));
    const outcome = { kind: "answered", status: 201, bodyBytes: 1, sha256: "ab".repeat(32) } as const;
    primary.onOutcomes(20, [{ name: nameOf(named(2)), outcome }], 0);
    const restored = new RequestNames();
    // The checkpoint at 25 is announced by the record at 30.
    restored.onTable(30, primary.table(), 0);
    restored.isUnknownUntil(25);
    const kinds = (...requests: NamedRequest[]) => requests.map((request) => restored.begin(request, 30).kind);
    expect(kinds(again(1, 15), again(2, 15), again(3, 15), again(4, 9))).toEqual([
      ...["in-doubt", "recorded", "execute", "in-doubt"],
    ] as never);
    restored.onFlush(31, undefined);
    expect(kinds(again(5, 30), again(6, 31))).toEqual(["in-doubt", "execute"]);
  });

  test("takes back nothing that a host does not know of later flushes", () => {
    const restored = new RequestNames();
    restored.isUnknownUntil(40);
    restored.onTable(30, new RequestNames().table(), 0);
    expect(restored.begin(again(1, 35), 50).kind).toBe("in-doubt");
  });
});
