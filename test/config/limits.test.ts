import { expect, test } from "bun:test";
import * as v from "valibot";
import { gatewayLimits, hostLimits, limitEntries, limitLines, resolveLimits } from "../../src/config/limits.ts";
import { defaultHttpLimits, limitTable } from "../../src/http/limits.ts";

test("the default of every limit lies in its range, and is what the text in an example is read as", () => {
  for (const limits of [gatewayLimits, hostLimits]) {
    for (const { name, min, max, default: value } of limits)
      expect({ name, isInRange: value >= min && value <= max }).toEqual({ name, isInRange: true });
    const lines = limitLines(limits).trimEnd().split("\n");
    const values = Object.fromEntries(
      lines
        .map((line) => line.slice(1).split(" = "))
        .map(([key = "", value = ""]) => [key, JSON.parse(value) as unknown]),
    );
    const read = v.parse(v.object(limitEntries(limits)), values);
    expect(resolveLimits(limits, read)).toEqual(
      Object.fromEntries(limits.map(({ name, default: value }) => [name, value])) as never,
    );
    expect(v.parse(v.object(limitEntries(limits)), {})).toEqual(read);
  }
});

test("each limit has one key and one default, except those that a host's front has otherwise", () => {
  expect(new Set(gatewayLimits.map(({ key }) => key)).size).toBe(gatewayLimits.length);
  expect(Object.keys(limitTable).filter((name) => !gatewayLimits.some((limit) => limit.name === name))).toEqual([
    "keepBodyTotalBytesMax",
  ]);
  expect(
    hostLimits.filter(({ name, default: value }) => value !== defaultHttpLimits[name]).map(({ key }) => key),
  ).toEqual(["first_byte"]);
});
