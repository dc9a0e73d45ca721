import { describe, expect, test } from "bun:test";
import { commonFormat, ToldFormats, toldFormatMsMax } from "../../src/core/record-format.ts";
import { allRules } from "../../src/core/rules.ts";

const secondary = (reads: number) => ({ reads, writes: undefined });
const primary = (format: number) => ({ reads: format, writes: format });

describe("the format that a gateway tells", () => {
  test("is the least that its hosts told", () => {
    expect(commonFormat([secondary(2), secondary(2)])).toBe(2);
    expect(commonFormat([secondary(2), secondary(1), primary(3)])).toBe(1);
    expect(commonFormat([secondary(3), secondary(4)])).toBe(3);
    expect(commonFormat([primary(2), { reads: 1, writes: undefined }])).toBe(1);
  });

  test("is none without a primary while a host has not been heard", () => {
    expect(commonFormat([secondary(2), undefined])).toBeUndefined();
    expect(commonFormat([undefined])).toBeUndefined();
  });

  test("is 1 without hosts", () => {
    expect(commonFormat([])).toBe(1);
  });

  test("stays what the primary writes while a host that was added has not been heard, neither less nor more", () => {
    expect(commonFormat([primary(2), secondary(2), undefined])).toBe(2);
    expect(commonFormat([{ reads: 2, writes: 1 }, undefined])).toBe(1);
    expect(commonFormat([primary(2), secondary(1), undefined])).toBe(1);
  });
});

describe("the format that a primary writes", () => {
  test("is format 1 as long as no gateway has told it anything", () => {
    expect(new ToldFormats(allRules).toWrite(0)).toBe(1);
  });

  test("is the least that gateways tell, and no more than it knows itself", () => {
    const told = new ToldFormats(allRules);
    told.tell("gw1", 3, 0);
    expect(told.toWrite(0)).toBe(2);
    told.tell("gw2", 1, 0);
    expect(told.toWrite(0)).toBe(1);
    told.tell("gw2", 2, 1);
    expect(told.toWrite(1)).toBe(2);
  });

  test("forgets a gateway that has not told anything for long, whichever it told", () => {
    const told = new ToldFormats(allRules);
    told.tell("gw1", 1, 0);
    told.tell("gw2", 2, 1_000);
    expect(told.toWrite(toldFormatMsMax - 1)).toBe(1);
    expect(told.toWrite(toldFormatMsMax)).toBe(2);
    expect(told.toWrite(toldFormatMsMax + 1_000)).toBe(1);
  });

  test("remembers a bounded number of gateways, the newest", () => {
    const told = new ToldFormats(allRules);
    told.tell("gone", 1, 0);
    for (let gateway = 0; gateway < 64; gateway++) told.tell(`gw${gateway}`, 2, 0);
    expect(told.toWrite(0)).toBe(2);
  });

  test("remembers as many gateways as it may, and of more the ones that told something last", () => {
    const told = new ToldFormats(allRules);
    told.tell("first", 1, 0);
    for (let gateway = 1; gateway < 64; gateway++) told.tell(`gw${gateway}`, 2, 0);
    expect(told.toWrite(0)).toBe(1);
    told.tell("first", 1, 1);
    told.tell("one more", 2, 1);
    expect(told.toWrite(1)).toBe(1);
  });
});
