import { expect, test } from "bun:test";
import { attacksWithoutProof, mutantsOf } from "../../scripts/lib/attacks.ts";

const tests = [{ path: "test/core/a.test.ts", text: 'test("a request that is\n lost is counted", () => {});' }];
const proofs = { tests, mutants: new Set(["replay-bound"]) };
const find = (comment: string, known: Readonly<Record<string, string>> = {}): string[] =>
  attacksWithoutProof([{ path: "src/core/a.ts", text: `/**\n * ${comment}\n */\nconst one = 1;` }], proofs, known);

test("a head comment that says how one would break its file names a test or a mutant", () => {
  for (const words of [
    "How one would break it: twice.",
    "How one would try to lose a write: late.",
    "One would break this so.",
  ])
    expect(find(words)).toEqual([expect.stringMatching(/^src\/core\/a\.ts: says how one would break it, and names/)]);
  const attack = "How one would\n * break it: twice.\n *\n * ";
  expect(find(`${attack}Attacked in test/core/a.test.ts: "a request that is\n * lost".`)).toEqual([]);
  expect(find(`${attack}Attacked by the mutant replay-bound.`)).toEqual([]);
  expect(find("What no attack is.")).toEqual([]);
});

test("a test, a title or a mutant that is not there is named", () => {
  const attack = "How one would break it: twice. ";
  expect(find(`${attack}Attacked in test/core/a.test.ts: "a request that is lost", "another".`)).toEqual([
    'src/core/a.ts: there is no "another" in test/core/a.test.ts',
  ]);
  expect(find(`${attack}Attacked in test/core/b.test.ts: "a request".`)).toEqual([
    'src/core/a.ts: there is no "a request" in test/core/b.test.ts',
  ]);
  expect(find(`${attack}Attacked by the mutant gone.`)).toEqual(["src/core/a.ts: the simulator has no mutant gone"]);
});

test("an exception is one as long as its file is there and describes an attack", () => {
  expect(find("How one would break it: twice.", { "src/core/a.ts": "the kernel" })).toEqual([]);
  expect(find("Nothing.", { "src/core/a.ts": "the kernel" })).toEqual([
    "src/core/a.ts: describes no attack, and is a known exception",
  ]);
  expect(find("Nothing.", { "src/core/b.ts": "the kernel" })).toEqual(["src/core/b.ts: is not there"]);
});

test("a mutant is a rule that the simulator breaks", () => {
  const rules = 'export type RuleName =\n  | "gate"\n  | "retry";\n';
  expect(mutantsOf(rules, ['{ rule: "gate", seedsMax: 200 },', '{ rule: "other" }'])).toEqual(new Set(["gate"]));
});
