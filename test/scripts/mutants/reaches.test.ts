import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OptionError } from "../../../scripts/lib/options.ts";
import { Reaches } from "../../../scripts/mutants/reaches.ts";

const root = mkdtempSync(join(tmpdir(), "stead-reaches-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const file = join(root, "report.reach");
const write = (name: string, text: string): void => writeFileSync(join(root, name), text);

beforeEach(() => {
  mkdirSync(join(root, "src"), { recursive: true });
  write("src/a.ts", "a");
  write("src/b.ts", "b");
  write("a.test.ts", "tests");
  rmSync(file, { force: true });
});

const measured = { tookMs: 7, lines: new Map([["src/a.ts", new Set([1, 3])]]) };

test("what a file of tests reaches is known to the next run, also that it reaches nothing of a file", () => {
  new Reaches(root, file).keep("a.test.ts", measured);
  const later = new Reaches(root, file);
  expect(later.known("a.test.ts", "src/a.ts")).toEqual(measured);
  expect(later.known("a.test.ts", "src/b.ts")).toEqual({ tookMs: 7, lines: new Map() });
  expect(later.known("b.test.ts", "src/a.ts")).toBeUndefined();
});

test("it is not known any more of a file that has changed, nor once the tests have", () => {
  new Reaches(root, file).keep("a.test.ts", measured);
  write("src/a.ts", "changed");
  expect(new Reaches(root, file).known("a.test.ts", "src/a.ts")).toBeUndefined();
  write("src/a.ts", "a");
  write("a.test.ts", "changed");
  expect(new Reaches(root, file).known("a.test.ts", "src/a.ts")).toBeUndefined();
});

test("without a file it is known to the run alone, and another file is refused", () => {
  const reaches = new Reaches(root, undefined);
  reaches.keep("a.test.ts", measured);
  expect(reaches.known("a.test.ts", "src/a.ts")).toEqual(measured);
  write("other", "[1]");
  expect(() => new Reaches(root, join(root, "other"))).toThrow(OptionError);
});
