/** Holds docs/PROTOCOL.md to the code: its rules, where they act, their mutants, and the seeds that it cites. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "..", "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

interface DocumentedRule {
  readonly name: string;
  readonly text: string;
  readonly actsAt: readonly { readonly file: string; readonly symbol: string }[];
}

const rules: readonly DocumentedRule[] = read("docs/PROTOCOL.md")
  .split(/^### /m)
  .slice(1)
  .map((text) => {
    const where = /\*\*Acts at\.\*\*([^*]*)/.exec(text)?.[1] ?? "";
    const actsAt = [...where.matchAll(/`(src\/[^`]+)` `([^`]+)`/g)].map(([, file = "", symbol = ""]) => ({
      file,
      symbol,
    }));
    return { name: text.split("\n")[0] ?? "", text, actsAt };
  });

describe("docs/PROTOCOL.md", () => {
  test("has every rule of src/core/rules.ts, and no other", () => {
    const named = [
      ...(read("src/core/rules.ts").split("interface Rules")[0] ?? "").matchAll(/^ {2}\| "([^"]+)"/gm),
    ].map(([, name]) => name);
    expect(rules.map(({ name }) => name).toSorted()).toEqual(named.toSorted() as string[]);
  });

  test.each(rules)("$name: says what it states, why, where it acts, and what its mutant shows", ({ text, actsAt }) => {
    for (const part of ["Statement", "Argument", "Acts at", "Mutant shows"]) expect(text).toContain(`**${part}.**`);
    expect(actsAt.length).toBeGreaterThan(0);
  });

  test.each(rules)("$name: acts in each of the files that the page names, and in no other", ({ name, actsAt }) => {
    const question = `has("${name}")`;
    const files = [...new Bun.Glob("src/**/*.ts").scanSync(root)].filter(
      (file) => file !== "src/core/rules.ts" && read(file).includes(question),
    );
    expect(actsAt.map(({ file }) => file).toSorted()).toEqual(files.toSorted());
    for (const { file, symbol } of actsAt)
      expect(read(file)).toMatch(
        new RegExp(`^export (async )?(class|function|const|type|interface) ${symbol}\\b`, "m"),
      );
  });

  test.each(rules)("$name: has a mutant", ({ name }) => {
    expect(read("test/sim/mutants.ts")).toContain(`rule: "${name}"`);
  });

  test.each(rules)("$name: cites seeds that docs/SIMULATION.md explains", ({ text }) => {
    const cited = [...(/\*\*Seeds\.\*\*([^:]*)/.exec(text)?.[1] ?? "").matchAll(/\d+/g)].map(([seed]) => seed);
    for (const seed of cited) expect(read("docs/SIMULATION.md")).toMatch(new RegExp(`\\b${seed}\\b`));
  });
});

describe("comments", () => {
  test("cite no document that is not there", () => {
    const missing = [...new Bun.Glob("{src,harness,scripts,test}/**/*.ts").scanSync(root)].flatMap((file) =>
      [...read(file).matchAll(/docs\/[\w-]+\.md/g)]
        .filter(([document]) => !existsSync(join(root, document)))
        .map(([document]) => `${file}: ${document}`),
    );
    expect(missing).toEqual([]);
  });
});

describe("documents", () => {
  test("name no source file that is not there", () => {
    const missing = ["README.md", ...new Bun.Glob("docs/*.md").scanSync(root)].flatMap((document) =>
      [...read(document).matchAll(/(?<![\w./-])((?:[\w-]+\/)+[\w-]+\.ts)\b/g)]
        .map(([, path = ""]) => path)
        .filter((path) => !existsSync(join(root, path)) && !existsSync(join(root, "src", path)))
        .map((path) => `${document}: ${path}`),
    );
    expect(missing).toEqual([]);
  });
});
