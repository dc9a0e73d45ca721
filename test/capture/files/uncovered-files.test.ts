import { describe, expect, test } from "bun:test";
import { UncoveredFiles } from "../../../src/capture/files/uncovered-files.ts";

const problem = (path: string) => ({ found: `${path}: too much`, accepted: "less", advice: "Leave it out." });

function make(mode: "refuse" | "warn") {
  const [warnings, time] = [[] as string[], { nowMs: 0 }];
  const files = new UncoveredFiles(
    mode,
    () => time.nowMs,
    (text) => warnings.push(text),
  );
  const note = (path: string): void => files.note(path, problem(path));
  return { files, note, warnings, time };
}

describe("files that cannot be captured", () => {
  test("hold responses, and are told once with since when", () => {
    const { files, note, warnings, time } = make("refuse");
    expect([files.isHolding, files.holding, files.names]).toEqual([false, [], []]);
    time.nowMs = 5;
    note("a");
    time.nowMs = 9;
    note("a");
    expect([files.isHolding, files.has("a"), files.has("b"), files.names]).toEqual([true, true, false, ["a"]]);
    expect(files.holding).toEqual([
      { name: "a", reason: expect.stringContaining("a: too much"), advice: "Leave it out.", sinceMs: 5 },
    ]);
    expect(warnings).toEqual([expect.stringMatching(/a: too much.*responses are held.*Leave it out\./)]);
    files.clear("a");
    expect([files.isHolding, files.holding]).toEqual([false, []]);
  });

  test("are named to an operator from the first on, twenty at most", () => {
    const { files, note } = make("refuse");
    for (let nth = 0; nth < 25; nth++) note(`f${nth}`);
    const names = files.holding.map(({ name }) => name);
    expect([names.length, names[0], names.at(-1)]).toEqual([20, "f0", "f19"]);
  });

  test("end the term after the patience, and not before; a vault does not begin with one", () => {
    const { files, note, time } = make("refuse");
    files.assertPatience(10);
    files.assertNone();
    note("a");
    time.nowMs = 10;
    files.assertPatience(10);
    time.nowMs = 11;
    expect(() => files.assertPatience(10)).toThrow("a: too much");
    expect(() => files.assertNone()).toThrow("a: too much");
  });

  test("are left out where that is allowed: they hold nothing, and are told all the same", () => {
    const { files, note, warnings, time } = make("warn");
    note("a");
    time.nowMs = 1_000;
    files.assertPatience(10);
    files.assertNone();
    expect([files.isHolding, files.holding, files.names]).toEqual([false, [], ["a"]]);
    expect(warnings).toEqual([expect.stringContaining("it does not fail over")]);
  });
});
