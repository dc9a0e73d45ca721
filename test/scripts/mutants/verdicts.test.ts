import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OptionError } from "../../../scripts/lib/options.ts";
import { draw, type Mutant } from "../../../scripts/mutants/targets.ts";
import { Verdicts } from "../../../scripts/mutants/verdicts.ts";

const folder = mkdtempSync(join(tmpdir(), "stead-verdicts-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = join(folder, "report.json");
const sample = { commit: "abc", files: "src/a.ts", draw: 3, seed: 1, tests: 20 };
const mutantsOf = (text: string, testsHash = "1"): [Mutant, Mutant, Mutant] =>
  draw([{ file: "src/a.ts", text, tests: [], testsHash }], 3, 1) as [Mutant, Mutant, Mutant];

test("a run that is started again knows what was noticed, and tries what survived when its tests have changed", () => {
  const [one, two, three] = mutantsOf("if (a) f();\ng();\n");
  const before = new Verdicts(sample, [one, two, three], file);
  before.add(one, "caught", "a test");
  before.add(two, "survived", "");
  const after = new Verdicts(sample, [one, two, three], file);
  expect(after.known(one)).toMatchObject({ verdict: "caught", by: "a test" });
  expect(after.known(two)?.verdict).toBe("survived");
  const [first, second] = mutantsOf("if (a) f();\ng();\n", "2");
  expect(after.known(first)?.verdict).toBe("caught");
  expect(after.known(second)).toBeUndefined();
  expect(after.known(three)).toBeUndefined();
  after.add(three, "unreached", "");
  expect(after.open).toHaveLength(1);
  // What the second run has not come to is kept, should it be ended there.
  expect(new Verdicts(sample, [one], file).known(one)?.verdict).toBe("caught");
});

test("a file that has changed is tried again", () => {
  const [changed] = mutantsOf("if (a) f();\ng(1);\n");
  expect(new Verdicts(sample, [changed], file).known(changed)).toBeUndefined();
});

test("a file that is no report is refused", () => {
  writeFileSync(file, "{}");
  expect(() => new Verdicts(sample, [], file)).toThrow(OptionError);
});
