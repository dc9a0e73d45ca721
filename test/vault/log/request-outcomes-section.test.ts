import { expect, test } from "bun:test";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { NamedOutcome } from "../../../src/core/request-names.ts";
import type { Section } from "../../../src/core/flush.ts";
import { outcomesSection, requestOutcomesOf } from "../../../src/vault/log/request-outcomes-section.ts";

const outcomes: readonly NamedOutcome[] = [
  {
    name: { run: "00112233445566aa", count: 2 ** 40 },
    outcome: {
      kind: "whole",
      status: 201,
      reason: "Created \xe9",
      fields: `Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Long: ${"y".repeat(70_000)}\r\n`,
      body: Buffer.from([0, 255, 10, 13]),
    },
  },
  {
    name: { run: "ffffffffffffffff", count: 1 },
    outcome: { kind: "answered", status: 500, bodyBytes: 5_000_000_000, sha256: "ab".repeat(32) },
  },
  {
    name: { run: "ffffffffffffffff", count: 2 },
    outcome: { kind: "whole", status: 204, reason: "", fields: "", body: new Uint8Array(0) },
  },
];

test("outcomes come back byte for byte, from among other sections", () => {
  const section = outcomesSection(outcomes);
  expect(section.isRequired).toBe(false);
  const back = requestOutcomesOf([{ kind: "other", isRequired: false, content: Buffer.from("x") }, section]);
  expect(back.length).toBe(3);
  for (const [at, { name, outcome }] of outcomes.entries()) {
    expect(back[at]?.name).toEqual(name);
    const found = back[at]?.outcome;
    if (outcome.kind === "answered" || found?.kind !== "whole") expect(found).toEqual(outcome);
    else expect({ ...found, body: [...found.body] }).toEqual({ ...outcome, body: [...outcome.body] } as never);
  }
});

test("a record without the section has none, and one that is cut or damaged is as good as none", () => {
  expect(requestOutcomesOf([])).toEqual([]);
  const section = outcomesSection(outcomes);
  for (const bytes of [0, 1, section.content.length >> 1, section.content.length - 1])
    expect(requestOutcomesOf([{ ...section, content: section.content.subarray(0, bytes) }])).toEqual([]);
  const other = outcomesSection(outcomes.slice(1));
  const wrong = Buffer.concat([other.content, Buffer.from("rest")]);
  expect(requestOutcomesOf([{ ...section, content: wrong }]).length).toBeLessThanOrEqual(2);
});

test("equal answers cost little", () => {
  const [one] = outcomes;
  if (one === undefined) throw new Error("there is one");
  const body = Buffer.from(JSON.stringify({ id: "a", from: 1, to: 2, amount: 3 }));
  const outcome = { ...one.outcome, kind: "whole", fields: "Content-Type: application/json\r\n", body } as const;
  const many = Array.from({ length: 100 }, (_, count) => ({ name: { ...one.name, count }, outcome }) as NamedOutcome);
  expect(outcomesSection(many).content.byteLength).toBeLessThan(100 * 32);
});

test("what is not deflated is read as well, and is the same under every runtime", () => {
  const stored = outcomesSection(outcomes, 0);
  expect(requestOutcomesOf([stored])).toEqual(requestOutcomesOf([outcomesSection(outcomes)]));
  // Stored blocks have type 0 in bits 1 and 2 (RFC 1951, 3.2.3).
  const typeOf = ({ content }: Section): number => ((content[0] ?? 0) >> 1) & 3;
  expect(typeOf(stored)).toBe(0);
  expect(typeOf(outcomesSection(outcomes))).not.toBe(0);
});

test("a section that would fill the memory is as good as none", () => {
  const content = deflateRawSync(Buffer.alloc(2 ** 28));
  expect(requestOutcomesOf([{ ...outcomesSection(outcomes), content }])).toEqual([]);
});

test("few bytes are stored, as a block that every inflater reads, and many are deflated", () => {
  const of = (bytes: number) => ({
    name: { run: "00112233445566aa", count: 7 },
    outcome: { kind: "whole" as const, status: 201, reason: "Created", fields: "", body: new Uint8Array(bytes) },
  });
  const [few, many] = [outcomesSection([of(900)]), outcomesSection([of(9_000)])];
  expect([few.content.length > 900, many.content.length < 200]).toEqual([true, true]);
  expect(inflateRawSync(few.content).length).toBe(few.content.length - 5);
  for (const [section, bytes] of [
    [few, 900],
    [many, 9_000],
  ] as const)
    expect(requestOutcomesOf([section]).map(({ outcome }) => outcome.kind === "whole" && outcome.body.length)).toEqual([
      bytes,
    ]);
});

test("an answer is read whose fields an earlier version wrote one by one", () => {
  const text = (lengthBytes: number, of: string): Buffer => {
    const length = Buffer.alloc(lengthBytes);
    length.writeUIntBE(of.length, 0, lengthBytes);
    return Buffer.concat([length, Buffer.from(of, "latin1")]);
  };
  const plain = Buffer.concat([
    ...[Buffer.from("00112233445566aa", "hex"), Buffer.from([0, 0, 0, 0, 0, 7]), Buffer.from([0, 201, 0])],
    ...[text(2, "Created"), Buffer.from([0, 2])],
    ...[text(2, "X-A"), text(4, "1"), text(2, "X-B"), text(4, "2"), text(4, "ok")],
  ]);
  const section = { kind: "outcomes", isRequired: false, content: deflateRawSync(plain) };
  const [found] = requestOutcomesOf([section]);
  expect(found).toEqual({
    name: { run: "00112233445566aa", count: 7 },
    outcome: { kind: "whole", status: 201, reason: "Created", fields: "X-A: 1\r\nX-B: 2\r\n", body: Buffer.from("ok") },
  });
});
