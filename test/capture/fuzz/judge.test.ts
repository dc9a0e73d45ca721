/** The oracle of the fuzzer: what it must call a loss, and what it must not. */
import { expect, test } from "bun:test";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../../support/capture/pair.ts";
import { judge } from "./judge.ts";
import { Ledger } from "./ledger.ts";
import type { Look } from "./processes.ts";

function begin() {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "tenants"));
  writeFileSync(join(folder.path, "a.db"), "content");
  const ledger = new Ledger(folder.path);
  const key = ledger.keyAt("a.db") ?? "";
  const file = ledger.file(key);
  file.tokens.set(1, { by: "a test", nameless: false });
  ledger.acknowledge(ledger.look());
  return { root: folder.path, ledger, key, file, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const has = (ids: readonly number[], check = "ok", name = "a.db"): ReadonlyMap<string, Look> =>
  new Map([[name, { check, ids }]]);
const kinds = (
  ledger: Ledger,
  left: ReadonlyMap<string, Look>,
  restored: ReadonlyMap<string, Look>,
  views = new Map<string, ReadonlySet<number>>(),
): string[] => judge(ledger, { views, left, restored }).map(({ kind }) => kind);

test("a token that the application still sees and the next primary does not have is lost", () => {
  using it = begin();
  expect(kinds(it.ledger, has([1]), has([]))).toEqual(["lost"]);
  expect(kinds(it.ledger, has([]), has([]), new Map([[it.key, new Set([1])]]))).toEqual(["lost"]);
  expect(kinds(it.ledger, has([]), has([]))).toEqual(["lost_here"]);
  expect(kinds(it.ledger, has([1]), has([1]))).toEqual([]);
});

test("until a rename is acknowledged both names are right, then the new one alone", () => {
  using it = begin();
  renameSync(join(it.root, "a.db"), join(it.root, "b.db"));
  const scene = it.ledger.look();
  expect(kinds(it.ledger, has([1], "ok", "b.db"), has([1]))).toEqual([]);
  it.ledger.acknowledge(scene);
  expect(kinds(it.ledger, has([1], "ok", "b.db"), has([1], "ok", "b.db"))).toEqual([]);
  expect(kinds(it.ledger, has([1], "ok", "b.db"), has([1]))).toEqual(["lost", "undone"]);
});

test("a deletion that was acknowledged stays, and what is committed into nothing is a fault", () => {
  using it = begin();
  it.file.tokens.delete(1);
  it.file.forgotten.add(1);
  expect(kinds(it.ledger, has([]), has([1]))).toEqual(["undone"]);
  rmSync(join(it.root, "a.db"));
  it.ledger.acknowledge(it.ledger.look());
  expect(kinds(it.ledger, new Map(), has([]))).toEqual(["undone"]);
  expect(it.ledger.isNameless(it.key, "a.db")).toBe(true);
  it.file.tokens.set(2, { by: "a test", nameless: true });
  expect(kinds(it.ledger, new Map(), new Map())).toEqual(["acknowledged_into_nothing"]);
});

test("a database that was moved to a name of no pattern is written outside of the service by that name, and into nothing by the one before", () => {
  using it = begin();
  renameSync(join(it.root, "a.db"), join(it.root, "work.tmp"));
  it.ledger.acknowledge(it.ledger.look());
  expect(it.ledger.isNameless(it.key, "work.tmp")).toBe(false);
  expect(it.ledger.isNameless(it.key, "a.db")).toBe(true);
  expect(it.ledger.isNameless(it.key, "tenants/load.part")).toBe(true);
});

test("a copy that is malformed is a fault unless the application's own file is", () => {
  using it = begin();
  expect(kinds(it.ledger, has([1]), has([1], "row 1 missing"))).toEqual(["malformed"]);
  expect(kinds(it.ledger, has([1], "row 1 missing"), has([1], "row 1 missing"))).toEqual([]);
});

test("of a file that writers with and without locks have damaged nothing is expected", () => {
  using it = begin();
  expect(kinds(it.ledger, has([1], "row 1 missing"), has([], "row 1 missing"))).toEqual(["lost"]);
  Object.assign(it.file, { isRisky: true, isMixed: true });
  expect(kinds(it.ledger, has([1], "row 1 missing"), has([], "row 1 missing"))).toEqual([]);
  expect(kinds(it.ledger, has([1]), has([]))).toEqual(["lost"]);
});
