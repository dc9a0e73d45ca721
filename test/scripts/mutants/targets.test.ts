import { expect, test } from "bun:test";
import { OptionError } from "../../../scripts/lib/options.ts";
import { draw, type Target, targetsNamed } from "../../../scripts/mutants/targets.ts";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../..");
const target = (file: string, text: string): Target => ({ file, text, tests: [], testsHash: "" });
const first = target("src/a.ts", "if (a < 1) f();\nif (b < 2) g();\nif (b < 2) g();\n");
const second = target("src/b.ts", "while (c > 3) h();\n");
const named = (targets: readonly Target[], count: number, seed: number): string[] =>
  draw(targets, count, seed).map(({ target: { file }, line, after }) => `${file}:${line} ${after}`);

test("a draw has as many mutants as asked for, each at most once, in the order of the files", () => {
  const all = named([first, second], 1000, 1);
  expect(new Set(all).size).toBe(all.length);
  const drawn = named([first, second], 5, 1);
  expect(drawn).toHaveLength(5);
  expect(all.filter((name) => drawn.includes(name))).toEqual(drawn);
});

test("a seed draws the same, another one does not", () => {
  expect(named([first, second], 5, 7)).toEqual(named([first, second], 5, 7));
  const draws = new Set([1, 2, 3, 4, 5].map((seed) => named([first, second], 5, seed).join()));
  expect(draws.size).toBeGreaterThan(1);
});

test("another line in a file leaves the draw of the other lines as it was", () => {
  const longer = target("src/a.ts", `// A line.\n${first.text}`);
  const here = draw([first, second], 6, 1).map(({ before, after, line }) => [before, after, line]);
  const there = draw([longer, second], 6, 1).map(({ before, after, line, target: { file } }) => [
    ...[before, after, file === "src/a.ts" ? line - 1 : line],
  ]);
  expect(there).toEqual(here);
});

test("a file's own tests come first, and a name that is none is refused", () => {
  const [found] = targetsNamed(root, "src/core/retention.ts", 3);
  expect(found?.tests[0]).toBe("test/core/retention.test.ts");
  expect(found?.tests.length).toBeLessThanOrEqual(3);
  // Its test starts a program that imports it.
  expect(targetsNamed(root, "src/host/application/orphans.ts", 3)[0]?.tests[0]).toBe(
    "test/host/application/orphans.test.ts",
  );
  expect(() => targetsNamed(root, "docs", 3)).toThrow(OptionError);
  expect(() => targetsNamed(root, "", 3)).toThrow(OptionError);
});

test("tests that import what the file imports come before those that only reach it, also from a folder below its own", () => {
  const [found] = targetsNamed(root, "src/capture/auditor.ts", 6);
  expect(found?.tests[0]).toBe("test/capture/auditor.test.ts");
  expect(found?.tests).toContain("test/capture/usage/warnings.test.ts");
  expect(targetsNamed(root, "src/capture/seal-all.ts", 60)[0]?.tests).toContain("test/capture/write-locks.test.ts");
});
