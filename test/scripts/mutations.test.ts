import { expect, test } from "bun:test";
import { mutated, mutationsOf } from "../../scripts/lib/mutations.ts";

const all = (text: string): string[] => mutationsOf(text).map((one) => `${one.kind}: ${mutated(text, one)}`);

test("a condition is negated, and a comparison moves by its boundary", () => {
  expect(all("if (a < b) c = 1;")).toEqual([
    "condition: if (!(a < b)) c = 1;",
    "boundary: if (a <= b) c = 1;",
    "off-by-one: if (a < b) c = (1 + 1);",
  ]);
  expect(all("const x = a && b;")).toEqual(["boundary: const x = a || b;"]);
  expect(all("for (; a >= 2; ) b;").map((one) => one.split(":")[0])).toEqual(["condition", "boundary", "off-by-one"]);
});

test("a wait, and a call whose result is not used, are left out", () => {
  expect(all("const x = await f();")).toEqual(["dropped-await: const x = f();"]);
  expect(all("await f();")).toEqual(["dropped-await: f();", "dropped-call: ;"]);
  expect(all("void f();")).toEqual(["dropped-call: ;"]);
  expect(all("function g() { return; }")).toEqual(["dropped-return: function g() { ; }"]);
});

test("statements with effects change places, declarations do not", () => {
  expect(all("sync(); link();")).toEqual([
    "dropped-call: ; link();",
    "order: link(); sync();",
    "dropped-call: sync(); ;",
  ]);
  expect(all("const a = f(); const b = g();")).toEqual([]);
});

test("a number of a calculation is counted up, a constant of the file is not", () => {
  expect(all("const max = 2 * 60;")).toEqual([]);
  expect(all("const limits = { bytesMax: 2 * 60 };")).toEqual([]);
  expect(all("const f = () => 2 * a;")).toEqual(["off-by-one: const f = () => (2 + 1) * a;"]);
});

test("nothing of a type is mutated", () => {
  expect(all("type A = B extends 1 ? 2 : 3; interface C { d: 4 } let e: 5 | 6;")).toEqual([]);
});

test("each mutation names its line", () => {
  expect(mutationsOf("a;\n\nf();").map(({ line, before }) => `${line} ${before}`)).toEqual(["3 f();"]);
});
