import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  disabledTests,
  lockFileViolations,
  logPlaces,
  unfinishedWork,
  wideComments,
} from "../../scripts/lib/house-rules.ts";
import { libsqlPackages, literalRequire, nativeTarget } from "../../scripts/lib/libsql-plugin.ts";

test("a lock file with a download address is refused, by line", () => {
  expect(lockFileViolations('{\n "a": ["a@1", "https://mirror.example/a.tgz", {}, "sha512-x"],\n}')).toEqual([
    expect.stringMatching(/^bun\.lock:2: .*https:\/\/mirror\.example\/a\.tgz/),
  ]);
  expect(lockFileViolations('{\n "a": ["a@1", "", {}, "sha512-x=="],\n}')).toEqual([]);
});

test("words of unfinished work and tests that were switched off are found by line", () => {
  const file = (text: string) => [{ path: "src/a.ts", text }];
  for (const word of ["TO" + "DO: later", "FIX" + "ME", 'throw new Error("not ' + 'implemented")'])
    expect(unfinishedWork(file(`ok\n${word}`))).toHaveLength(1);
  expect(unfinishedWork(file("const todos = 1; // a method to do it"))).toEqual([]);
  for (const call of ["test.sk" + "ip(", "describe.on" + "ly(", "test.to" + "do("])
    expect(disabledTests(file(call))).toHaveLength(1);
  expect(disabledTests(file("test.skipIf(process.getuid?.() !== 0)("))).toEqual([]);
});

test("only the folder of the log knows where its records are", () => {
  const find = (path: string, text: string) => logPlaces([{ path, text: `ok\n${text}` }]);
  for (const text of [
    'import { logKey } from "./keys.ts";',
    "store.get(`log/${position}`)",
    "store.list('boundary/')",
    "positionOfKey(logPrefix, key)",
    "import { x } from '../../vault/log/log-key.ts';",
    "boundaryKey(7)",
  ]) {
    expect(find("src/host/secondary/a.ts", text)).toEqual([
      expect.stringMatching(/^src\/host\/secondary\/a\.ts:2: .*port/),
    ]);
    expect(find("src/vault/verify/a.ts", text)).toHaveLength(1);
    expect(find("src/vault/log/a.ts", text)).toEqual([]);
  }
  for (const text of [
    'import type { Log } from "../log/log.ts";',
    'import type { Log } from "../../vault/log/log.ts";',
    "// the log/checkpoint split",
    'say("log", text)',
  ])
    expect(find("src/host/a.ts", text)).toEqual([]);
});

test("libsql's dynamic require becomes a literal one, and a build is refused when it is not there exactly once", () => {
  const source = readFileSync(join(import.meta.dirname, "../../node_modules/libsql/index.js"), "utf8");
  const target = nativeTarget();
  expect(literalRequire(source, target)).toContain(`require("${libsqlPackages[target]}")`);
  expect(() => literalRequire("nothing here", target)).toThrow("expected once");
  expect(() => literalRequire(source + source, target)).toThrow("expected once");
});

test("a comment that is too wide is found by line; figures, tables and addresses may be wider", () => {
  const find = (line: string) => wideComments([{ path: "src/a.ts", text: `ok\n${line}` }]);
  const wide = "word ".repeat(30).trim();
  for (const line of [`// ${wide}`, `  /** ${wide} */`, ` * ${wide}`])
    expect(find(line)).toEqual([expect.stringMatching(/^src\/a\.ts:2: /)]);
  for (const line of [
    `//     ${wide}`,
    ` *     ${wide}`,
    `// https://example.org/ ${wide}`,
    `call("${wide}");`,
    "// short",
  ])
    expect(find(line)).toEqual([]);
});
