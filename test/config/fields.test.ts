import { expect, test } from "bun:test";
import * as v from "valibot";
import { explanationOf } from "../../src/config/fields.ts";
import type { KeyPath } from "../../src/config/locate.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { keyPaths, schemaAt } from "../../src/config/walk.ts";

/** Every table, array and key of the schema, the elements of arrays included. */
function everyPath(): KeyPath[] {
  const found = new Map<string, KeyPath>();
  for (const text of keyPaths(fileSchema)) {
    let path: (string | number)[] = [];
    for (const part of text.split(".")) {
      path = [...path, part];
      found.set(path.join("."), path);
      if (schemaAt(fileSchema, [...path, 0]) === undefined) continue;
      path = [...path, 0];
      found.set(path.join("."), path);
    }
  }
  return [...found.values()];
}

/** Of each kind that TOML has; a key accepts at most two of them. */
const values = [5, -1.5, Number.NaN, true, "", "\u0000", [], [[]], {}, { a: 5 }, new Date(0), 2 ** 53, undefined];

test("every value that a key does not accept is explained by what it accepts and what to do", () => {
  const paths = everyPath();
  expect(paths.length).toBeGreaterThan(100);
  for (const path of paths) {
    const schema = schemaAt(fileSchema, path);
    if (schema === undefined) throw new Error(`no schema at ${path.join(".")}`);
    // A missing key is explained by the issue of that key with no value (load.ts).
    const issues = values
      .flatMap((value) => v.safeParse(schema, value).issues ?? [])
      .filter(({ type }) => type !== "object");
    expect([path.join("."), issues.length > 0]).toEqual([path.join("."), true]);
    for (const issue of issues) {
      const { accepted, advice } = explanationOf(issue);
      expect([path.join("."), accepted.length > 3, advice.length > 3]).toEqual([path.join("."), true, true]);
      expect(issue.message).toBe(accepted);
    }
  }
});

test("an issue of a schema without a message is a defect, and not explained by a guess", () => {
  const [issue] = v.safeParse(v.string(), 5).issues ?? [];
  if (issue === undefined) throw new Error("no issue");
  expect(() => explanationOf(issue)).toThrow("has no message");
});
