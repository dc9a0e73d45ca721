import { expect, test } from "bun:test";
import { HeaderList } from "../../../src/http/message/headers.ts";
import { epochFieldOf, namedRequestOf, requestFieldOf } from "../../../src/http/message/stead-fields.ts";

const first = { run: "00112233445566aa", count: 17, after: 3021, isAgain: false };
const fieldsWith = (value: string): HeaderList => new HeaderList().with("Stead-Request", value);

test("a named request comes back from its field", () => {
  for (const named of [first, { ...first, isAgain: true }])
    expect(namedRequestOf(fieldsWith(requestFieldOf(named)))).toEqual(named);
});

test("what is not of the form is no name", () => {
  expect(namedRequestOf(new HeaderList())).toBeUndefined();
  for (const value of [
    "",
    "17",
    "00112233445566AA 17 3 first",
    "00112233445566aa 17 3",
    "00112233445566aa 1e3 3 first",
  ])
    expect([value, namedRequestOf(fieldsWith(value))]).toEqual([value, undefined]);
});

test("a request that is sent again is for an epoch that no host without names serves", () => {
  expect([epochFieldOf(4, undefined), epochFieldOf(4, first), epochFieldOf(4, { ...first, isAgain: true })]).toEqual([
    "4",
    "4",
    "4-again",
  ]);
});
