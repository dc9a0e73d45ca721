import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { layers, layerViolations, rooms } from "../../scripts/lib/layers.ts";

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
  expect(
    check({ "src/cli/a.ts": 'import "../host/b.ts"; import "../gateway/c.ts"; import "../../package.json";' }),
  ).toEqual([]);
});

test("src/core imports nothing but itself", () => {
  for (const name of ["node:fs", "node:fs/promises", "bun:sqlite", "valibot", "fs"]) {
    expect(check({ "src/core/a.ts": `import x from "${name}";` })).toHaveLength(1);
  }
  expect(check({ "src/core/a.ts": 'import "../runtime/clock.ts";' })).toHaveLength(1);
  expect(check({ "src/core/a.ts": 'import { b } from "./b.ts";', "src/core/b.ts": "export const b = 1;" })).toEqual([]);
});

test("a cycle is a violation, reported once; one of types alone is one too, but within src/capture", () => {
  const files = {
    "src/core/a.ts": 'import "./b.ts";',
    "src/core/b.ts": 'import "./c.ts";',
    "src/core/c.ts": 'import "./a.ts";',
  };
  expect(check(files)).toEqual([
    "src/core/a.ts:1: import cycle: src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts",
  ]);
  expect(check({ ...files, "src/core/c.ts": 'import type { A } from "./a.ts";' })).toHaveLength(1);
  expect(check({ ...files, "src/core/c.ts": 'import { type A } from "./a.ts";' })).toHaveLength(1);
  expect(
    check({ "src/capture/a.ts": 'import "./b.ts";', "src/capture/b.ts": 'import type { A } from "./a.ts";' }),
  ).toEqual([]);
  expect(
    check({ "src/capture/a.ts": 'import "./b.ts";', "src/capture/b.ts": 'import { a } from "./a.ts";' }),
  ).toHaveLength(1);
});

test("imports that leave the program and folders without a layer are violations", () => {
  expect(check({ "src/cli/a.ts": 'import "../support/cli/run-cli.ts";' })).toHaveLength(1);
  expect(check({ "src/utils/a.ts": 'import "node:fs";' })).toHaveLength(1);
  expect(check({ "src/gateway/a.ts": 'import sql from "../../migrations/0000.sql" with { type: "text" };' })).toEqual(
    [],
  );
});

test("every folder of src has a layer", () => {
  const folders = readdirSync(join(import.meta.dirname, "../../src"), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  );
  expect(folders.map((entry) => entry.name).filter((name) => layers[name] === undefined)).toEqual([]);
});

test("a room that imports one above it, or beside it, is a violation, for a type alone too", () => {
  for (const form of [
    'import { x } from "../server/b.ts";',
    'import type { X } from "../server/b.ts";',
    'export * from "../server/b.ts";',
    'type X = import("../server/b.ts").X;',
  ]) {
    expect(check({ "src/http/message/a.ts": `// one line\n${form}` })).toEqual([
      "src/http/message/a.ts:2: src/http/message imports src/http/server/b.ts; it may import only src/http/message",
    ]);
  }
  expect(check({ "src/http/embed/a.ts": 'import "../proxy/b.ts";' })).toHaveLength(1);
  expect(check({ "src/http/limits.ts": 'import type { A } from "./server/a.ts";' })).toEqual([
    "src/http/limits.ts:1: a file of src/http itself imports src/http/server/a.ts; it may import only the files of src/http itself",
  ]);
  expect(
    check({ "src/http/server/a.ts": 'import "../message/b.ts"; import "./c.ts"; import "../limits.ts";' }),
  ).toEqual([]);
});

test("a folder in a folder with rooms has a place among them", () => {
  expect(check({ "src/http/misc/a.ts": "" })).toEqual([
    "src/http/misc/a.ts:1: src/http/misc is no known room; add it to scripts/lib/layers.ts",
  ]);
});

test("rooms point one way: each imports only rooms that are named before it", () => {
  for (const folder of Object.values(rooms)) {
    const names = Object.keys(folder);
    for (const [name, allowed] of Object.entries(folder))
      expect(allowed.filter((other) => names.indexOf(other) >= names.indexOf(name))).toEqual([]);
  }
});

test("harness is used by the demo and the command line, and by no role", () => {
  expect(
    check({ "src/demo/a.ts": 'import "../../harness/b.ts";', "src/cli/a.ts": 'import "../../harness/b.ts";' }),
  ).toEqual([]);
  expect(check({ "src/gateway/a.ts": 'import "../../harness/b.ts";' })).toHaveLength(1);
  expect(check({ "harness/a.ts": 'import "../src/demo/b.ts";' })).toEqual([
    "harness/a.ts:1: harness imports src/demo/b.ts; it may import only harness, src/core, src/runtime, src/vault, src/s3, src/control",
  ]);
});

test("the commands of the roles import neither the demo nor the harness", () => {
  const text = (name: string): string =>
    readFileSync(join(import.meta.dirname, "../../src/cli/commands", name), "utf8");
  for (const role of ["gateway.ts", "host.ts"]) expect(text(role)).not.toMatch(/demo\/|harness\//);
});
