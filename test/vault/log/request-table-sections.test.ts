import { expect, test } from "bun:test";
import type { NamesTable } from "../../../src/core/request-names.ts";
import { afterKind, namesTableOf, tableSections } from "../../../src/vault/log/request-table-sections.ts";

const run = "00112233445566aa";

test("a table comes back, also with more names of a run than one entry takes", () => {
  const names = Array.from({ length: 65_536 + 3 }, (_, count) => ({ run, count }));
  const outcome = { kind: "answered", status: 201, bodyBytes: 70_000, sha256: "cd".repeat(32) } as const;
  const table = { completeAfter: 2 ** 33, names, outcomes: [{ name: { run, count: 1 }, outcome }] };
  const sections = tableSections(table);
  expect(sections.every(({ isRequired }) => !isRequired)).toBe(true);
  expect(namesTableOf(sections)).toEqual({ ...table, isKeyed: false });
});

test("a record without it, or with one that cannot be read, has none", () => {
  expect(namesTableOf([])).toBeUndefined();
  const sections = tableSections({ completeAfter: 1, names: [], outcomes: [] });
  expect(namesTableOf(sections)).toEqual({ completeAfter: 1, names: [], outcomes: [], isKeyed: false });
  expect(namesTableOf(sections.filter(({ kind }) => kind !== afterKind))).toBeUndefined();
  const cut = sections.map((each) => (each.kind === afterKind ? { ...each, content: Buffer.alloc(5) } : each));
  expect(namesTableOf(cut)).toBeUndefined();
});

test("a table with names of clients' keys cannot be skipped: all of it is required, and says so to its reader", () => {
  const table: NamesTable = { completeAfter: 3, names: [{ run: "00112233445566aa", count: 1 }], outcomes: [] };
  expect(tableSections(table).some(({ isRequired }) => isRequired)).toBe(false);
  const keyed = tableSections({ ...table, isKeyed: true });
  expect(keyed.every(({ isRequired }) => isRequired)).toBe(true);
  expect(namesTableOf(keyed)?.isKeyed).toBe(true);
});
