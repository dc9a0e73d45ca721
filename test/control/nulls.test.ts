import { describe, expect, test } from "bun:test";
import { withNulls, withoutNulls } from "../../src/control/nulls.ts";

const inside = { a: undefined, b: [undefined, { c: undefined, d: 0 }], e: "", f: false };
const said = { a: null, b: [null, { c: null, d: 0 }], e: "", f: false };

describe("an absent value", () => {
  test("is null in an API's message, at every depth, and no other value is", () => {
    expect(JSON.stringify(withNulls(inside))).toBe(JSON.stringify(said));
  });

  test("is undefined inside, and its property is still there", () => {
    expect(withoutNulls(said)).toStrictEqual(inside as never);
    expect(Object.keys(withoutNulls(said))).toEqual(Object.keys(said));
  });
});
