import { expect, test } from "bun:test";
import { parseTraceParent } from "../../../src/http/message/trace-parent.ts";

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const parent = "00f067aa0ba902b7";

test("trace, sender and the sampled flag are read", () => {
  expect(parseTraceParent(`00-${trace}-${parent}-01`)).toEqual({ traceId: trace, parentId: parent, isSampled: true });
  expect(parseTraceParent(`00-${trace}-${parent}-02`)?.isSampled).toBe(false);
  expect(parseTraceParent(`00-${trace}-${parent}-03`)?.isSampled).toBe(true);
});

test("a later version may say more", () => {
  expect(parseTraceParent(`01-${trace}-${parent}-01-more`)?.traceId).toBe(trace);
});

test.each([
  "",
  "00",
  `00-${trace}-${parent}`,
  `00-${trace}-${parent}-01-more`,
  `00-${trace.toUpperCase()}-${parent}-01`,
  `00-${"0".repeat(32)}-${parent}-01`,
  `00-${trace}-${"0".repeat(16)}-01`,
  `ff-${trace}-${parent}-01`,
  `01-${trace}-${parent}-01more`,
  ` 00-${trace}-${parent}-01`,
])("%p is ignored", (value) => {
  expect(parseTraceParent(value)).toBeUndefined();
});
