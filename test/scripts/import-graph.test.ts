import { expect, test } from "bun:test";
import { importersOf, importsOf, reachersOf } from "../../scripts/lib/import-graph.ts";

test("imports are resolved from the file; types and packages are none", () => {
  const text = [
    'import { a } from "./a.ts";',
    'import type { B } from "./b.ts";',
    'export * from "../c.ts";',
    'import hono from "hono";',
    'const d = await import("./d.ts");',
    'import { e, type E } from "./e.ts";',
    'import "./f.ts";',
  ].join("\n");
  expect(importsOf("src/x/y.ts", text)).toEqual(["src/x/a.ts", "src/c.ts", "src/x/d.ts", "src/x/e.ts", "src/x/f.ts"]);
  expect(importsOf("src/x/y.ts", text, "with types")).toContain("src/x/b.ts");
});

test("files that reach another one are found with their distance", () => {
  const files = new Map([
    ["src/a.ts", ""],
    ["src/b.ts", 'import { a } from "./a.ts";'],
    ["test/b.test.ts", 'import { b } from "../src/b.ts";'],
    ["test/a.test.ts", 'import { a } from "../src/a.ts";'],
    ["test/c.test.ts", ""],
  ]);
  expect([...reachersOf("src/a.ts", importersOf(files))]).toEqual([
    ["src/b.ts", 1],
    ["test/a.test.ts", 1],
    ["test/b.test.ts", 2],
  ]);
});
