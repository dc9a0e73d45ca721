import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { disabledTests, lockFileViolations, unfinishedWork } from "../../scripts/lib/house-rules.ts";
import { libsqlPackages, literalRequire, nativeTarget } from "../../scripts/lib/libsql-plugin.ts";

test("a lock file with a download address is refused, by line", () => {
  expect(lockFileViolations('{\n "a": ["a@1", "https://mirror.example/a.tgz", {}, "sha512-x"],\n}')).toEqual([expect.stringMatching(/^bun\.lock:2: .*https:\/\/mirror\.example\/a\.tgz/)]);
  expect(lockFileViolations('{\n "a": ["a@1", "", {}, "sha512-x=="],\n}')).toEqual([]);
});

test("words of unfinished work and tests that were switched off are found by line", () => {
  const file = (text: string) => [{ path: "src/a.ts", text }];
  for (const word of ["TO" + "DO: later", "FIX" + "ME", 'throw new Error("not ' + 'implemented")']) expect(unfinishedWork(file(`ok\n${word}`))).toHaveLength(1);
  expect(unfinishedWork(file("const todos = 1; // a method to do it"))).toEqual([]);
  for (const call of ["test.sk" + "ip(", "describe.on" + "ly(", "test.to" + "do("]) expect(disabledTests(file(call))).toHaveLength(1);
  expect(disabledTests(file("test.skipIf(process.getuid?.() !== 0)("))).toEqual([]);
});

test("libsql's dynamic require becomes a literal one, and a build is refused when it is not there exactly once", () => {
  const source = readFileSync(join(import.meta.dirname, "../../node_modules/libsql/index.js"), "utf8");
  const target = nativeTarget();
  expect(literalRequire(source, target)).toContain(`require("${libsqlPackages[target]}")`);
  expect(() => literalRequire("nothing here", target)).toThrow("expected once");
  expect(() => literalRequire(source + source, target)).toThrow("expected once");
});
