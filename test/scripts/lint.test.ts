import { expect, test } from "bun:test";
import { join } from "node:path";
import { ESLint } from "eslint";

const root = join(import.meta.dirname, "../..");
const eslint = new ESLint({ cwd: root });

/**
 * The rules that a text breaks when it stands in an existing file (type-aware rules need one that the project knows).
 */
async function broken(text: string, file: string): Promise<string[]> {
  const [result] = await eslint.lintText(text, { filePath: join(root, file) });
  return [...new Set(result?.messages.map((message) => message.ruleId ?? message.message))].toSorted();
}

const core = "src/core/rules.ts";

test("src/core may not have IO, clock, randomness or waiting", async () => {
  const cases: readonly (readonly [text: string, rule: string])[] = [
    ['import { readFile } from "node:fs/promises";\nexport const x = readFile;', "no-restricted-imports"],
    ['import { Database } from "bun:sqlite";\nexport const x = Database;', "no-restricted-imports"],
    ['import * as v from "valibot";\nexport const x = v;', "no-restricted-imports"],
    ["export const x = Date.now();", "no-restricted-globals"],
    ["export const x = performance.now();", "no-restricted-globals"],
    ["export const x = process.pid;", "no-restricted-globals"],
    ["export const x = setTimeout(() => 1, 1);", "no-restricted-globals"],
    ["export const x = Math.random();", "no-restricted-properties"],
    ["export async function x(): Promise<void> {}", "no-restricted-syntax"],
    ['export const x = import("./delta.ts");', "no-restricted-syntax"],
  ];
  for (const [text, rule] of cases)
    expect({ text, rules: await broken(text, core) }).toMatchObject({ text, rules: expect.arrayContaining([rule]) });
  expect(
    await broken(
      'import type { Rules } from "./rules.ts";\nexport const x = (rules: Rules): number => Math.max(1, rules.has("gate") ? 1 : 2);',
      core,
    ),
  ).toEqual([]);
}, 60_000);

test("forgotten promises, missing cases, any and unused variables are found everywhere", async () => {
  const file = "src/config/units.ts";
  const cases: readonly (readonly [text: string, rule: string])[] = [
    [
      "const f = async (): Promise<void> => {};\nexport const g = (): void => { f(); };",
      "@typescript-eslint/no-floating-promises",
    ],
    [
      "const f = async (): Promise<void> => {};\nexport const g = (): void => { void f(); };",
      "@typescript-eslint/no-floating-promises",
    ],
    ["export const g = (): void => { [1].forEach(async () => {}); };", "@typescript-eslint/no-misused-promises"],
    [
      'export function f(x: "a" | "b"): void { switch (x) { case "a": return; } }',
      "@typescript-eslint/switch-exhaustiveness-check",
    ],
    ["export const x: any = 1;", "@typescript-eslint/no-explicit-any"],
    ["const x = 1;", "@typescript-eslint/no-unused-vars"],
    ["export const f = (x?: string): number => x!.length;", "@typescript-eslint/no-non-null-assertion"],
  ];
  for (const [text, rule] of cases)
    expect({ text, rules: await broken(text, file) }).toMatchObject({ text, rules: expect.arrayContaining([rule]) });
  expect(await broken("export const x = 1;\n", file)).toEqual([]);
}, 60_000);
