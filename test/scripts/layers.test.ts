import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { layers, layerViolations } from "../../scripts/lib/layers.ts";

const check = (files: Readonly<Record<string, string>>): string[] =>
  layerViolations(Object.entries(files).map(([path, text]) => ({ path, text })));

test("an import upwards is a violation, whatever its form", () => {
  const forms = [
    'import { x } from "../host/host.ts";',
    'import type { X } from "../host/host.ts";',
    'export { x } from "../host/host.ts";',
    'export * from "../host/host.ts";',
    'import "../host/host.ts";',
    'const x = await import("../host/host.ts");',
    'type X = import("../host/host.ts").X;',
  ];
  for (const form of forms) {
    expect(check({ "src/vault/log.ts": `// one line\n${form}` })).toEqual([
      "src/vault/log.ts:2: src/vault imports src/host/host.ts; it may import only src/vault, src/core, src/runtime",
    ]);
  }
});

test("folders beside each other do not import each other, and only cli imports everything", () => {
  expect(check({ "src/capture/a.ts": 'import "../vault/b.ts";' })).toHaveLength(1);
  expect(check({ "src/gateway/a.ts": 'import "../host/b.ts";' })).toHaveLength(1);
  expect(check({ "src/main.ts": 'import "./host/b.ts";' })).toHaveLength(1);
  expect(check({ "src/cli/a.ts": 'import "../host/b.ts"; import "../gateway/c.ts"; import "../../package.json";' })).toEqual([]);
});

test("src/core imports nothing but itself", () => {
  for (const name of ["node:fs", "node:fs/promises", "bun:sqlite", "valibot", "fs"]) {
    expect(check({ "src/core/a.ts": `import x from "${name}";` })).toHaveLength(1);
  }
  expect(check({ "src/core/a.ts": 'import "../runtime/clock.ts";' })).toHaveLength(1);
  expect(check({ "src/core/a.ts": 'import { b } from "./b.ts";', "src/core/b.ts": "export const b = 1;" })).toEqual([]);
});

test("a cycle is a violation, reported once; one of types alone is none", () => {
  const files = { "src/core/a.ts": 'import "./b.ts";', "src/core/b.ts": 'import "./c.ts";', "src/core/c.ts": 'import "./a.ts";' };
  expect(check(files)).toEqual(["src/core/a.ts:1: import cycle: src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts"]);
  expect(check({ ...files, "src/core/c.ts": 'import type { A } from "./a.ts";' })).toEqual([]);
  expect(check({ ...files, "src/core/c.ts": 'import { type A } from "./a.ts";' })).toEqual([]);
});

test("imports that leave the program and folders without a layer are violations", () => {
  expect(check({ "src/cli/a.ts": 'import "../support/cli/run-cli.ts";' })).toHaveLength(1);
  expect(check({ "src/utils/a.ts": 'import "node:fs";' })).toHaveLength(1);
  expect(check({ "src/gateway/a.ts": 'import sql from "../../migrations/0000.sql" with { type: "text" };' })).toEqual([]);
});

test("every folder of src has a layer", () => {
  const folders = readdirSync(join(import.meta.dirname, "../../src"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map((entry) => entry.name).filter((name) => layers[name] === undefined)).toEqual([]);
});
