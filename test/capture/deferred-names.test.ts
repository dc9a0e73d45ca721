/** A new file under the name of a database whose deletion is due does not replace what the journal has of that one. */
import { expect, test } from "bun:test";
import { DeferredNames } from "../../src/capture/deferred-names.ts";
import { notWhole } from "../../src/capture/refusals.ts";
import { Uncaptured } from "../../src/capture/uncaptured.ts";

const capture = (name: string, isKnown = false) => ({ database: { name, isKnown } });
const open = (name: string) => ({ name, captured: undefined });
const namesOf = (changes: readonly { readonly database: { readonly name: string } }[]) =>
  changes.map(({ database }) => database.name);

function begin() {
  const uncaptured = new Uncaptured(
    () => 0,
    () => undefined,
  );
  return { uncaptured, deferred: new DeferredNames(uncaptured) };
}

test("a first capture waits while another database is left out, and known ones do not", () => {
  const { uncaptured, deferred } = begin();
  const changes = [capture("a.db"), capture("old.db", true), capture("new.db")];
  uncaptured.note("c.db", notWhole("c.db", "a file that grows"));
  expect(namesOf(deferred.accept(changes, [{ name: "a.db" }], []))).toEqual(["old.db", "new.db"]);
  expect(deferred.causeOf("a.db")).toBe("c.db");
  uncaptured.clear("c.db");
  expect(namesOf(deferred.accept(changes, [{ name: "a.db" }], [open("a.db")]))).toEqual(["a.db", "old.db", "new.db"]);
  expect(deferred.causeOf("a.db")).toBeUndefined();
});

test("one that is open and was not whole when it was read counts as left out", () => {
  const { deferred } = begin();
  const active = [open("a.db"), open("c.db")];
  expect(namesOf(deferred.accept([capture("a.db")], [{ name: "a.db" }], active))).toEqual([]);
  expect(namesOf(deferred.accept([capture("a.db"), capture("c.db")], [{ name: "a.db" }], active))).toHaveLength(2);
});

test("two that wait for each other only do not block each other", () => {
  const { uncaptured, deferred } = begin();
  const removals = [{ name: "a.db" }, { name: "b.db" }];
  uncaptured.note("c.db", notWhole("c.db", "a file that grows"));
  expect(deferred.accept([capture("a.db")], removals, [open("a.db")])).toEqual([]);
  // As the source notes what is open and not captured.
  uncaptured.note("a.db", notWhole("a.db", "it waits"));
  uncaptured.clear("c.db");
  deferred.begin();
  expect(deferred.defer("b.db")).toBe(false);
  const both = [capture("a.db"), capture("b.db")];
  expect(namesOf(deferred.accept(both, removals, [open("a.db"), open("b.db")]))).toEqual(["a.db", "b.db"]);
});
