import { describe, expect, test } from "bun:test";
import { History } from "../../harness/history.ts";

function acknowledge(history: History, write: string, revision: number, key = "k"): void {
  history.sent(write);
  history.acknowledged(history.begin(key), write, revision, key);
}

const kindsOf = (history: History): string[] => history.violations.map(({ kind }) => kind);

describe("real-time order", () => {
  test("a read may miss a write that ended after the read began", () => {
    const history = new History();
    const moment = history.begin();
    acknowledge(history, "a", 1);
    history.sawList(moment, 0, []);
    expect(history.violations).toEqual([]);
  });

  test("a read must not miss a write that ended before the read began", () => {
    const history = new History();
    acknowledge(history, "a", 1);
    history.sawList(history.begin(), 0, []);
    expect(kindsOf(history)).toEqual(["stale"]);
  });

  test("a read must not be older than what another client has read", () => {
    const history = new History();
    history.sent("a");
    history.sawList(history.begin(), 1, [{ revision: 1, write: "a" }]);
    history.sawList(history.begin(), 0, []);
    expect(kindsOf(history)).toEqual(["stale"]);
  });

  test("a read of one record must not be older than an acknowledged write to it", () => {
    const history = new History();
    acknowledge(history, "a", 1, "note 1");
    acknowledge(history, "b", 2, "note 1");
    history.sawRecord(history.begin("note 1"), { revision: 1, write: "a" });
    history.sawRecord(history.begin("note 1"), undefined);
    expect(kindsOf(history)).toEqual(["stale", "stale"]);
  });

  test("a read of one record may be older than writes to others", () => {
    const history = new History();
    acknowledge(history, "a", 1, "note 1");
    acknowledge(history, "b", 2, "note 2");
    history.sawRecord(history.begin("note 1"), { revision: 1, write: "a" });
    expect(history.violations).toEqual([]);
  });

  test("a write cannot become older than what was seen before it was sent", () => {
    const history = new History();
    acknowledge(history, "a", 5);
    acknowledge(history, "b", 4);
    expect(kindsOf(history)).toEqual(["stale"]);
  });
});

describe("at the end", () => {
  test("a write that was acknowledged at another revision was undone", () => {
    const history = new History();
    acknowledge(history, "a", 1);
    acknowledge(history, "b", 2);
    history.finish([
      { revision: 1, write: "b" },
      { revision: 2, write: "a" },
    ]);
    expect(kindsOf(history)).toContain("undone");
  });

  test("a write that no client sent, or that was refused, is invented", () => {
    const history = new History();
    history.sent("refused");
    history.refused("refused");
    history.finish([
      { revision: 1, write: "refused" },
      { revision: 2, write: "from nowhere" },
    ]);
    expect(kindsOf(history)).toEqual(["invented", "invented"]);
  });

  test("a write to a zombie that is there counts as forbidden", () => {
    const history = new History();
    history.forbidden("z");
    expect(history.finish([{ revision: 1, write: "z" }]).forbidden).toBe(1);
    expect(new History().finish([]).forbidden).toBe(0);
  });

  test("a list that ends before what was seen is stale", () => {
    const history = new History();
    history.sawList(history.begin(), 3, []);
    history.finish([{ revision: 1, write: "a" }]);
    expect(kindsOf(history)).toContain("stale");
  });

  test("more breaches are counted than kept", () => {
    const history = new History();
    for (let index = 0; index < 500; index += 1) history.report("sum", "wrong");
    expect(history.count("sum")).toBe(500);
    expect(history.violations.length).toBeLessThan(200);
  });
});
