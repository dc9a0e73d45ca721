/**
 * Thirty programs of the fuzzer of usage, and the rounds of tenants that come and go; `bun run fuzz:usage --seed S`
 * shows one of them.
 */
import { expect, test } from "bun:test";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { drawProgram, type Profile } from "./program.ts";
import { Runner } from "./run.ts";

const src = join(import.meta.dirname, "../../../src");
const atOnce = 4;
const timeoutMs = 600_000;

async function runAll(profile: Profile, first: number, count: number) {
  const waiting = Array.from({ length: count }, (_, at) => first + at);
  const violations: unknown[] = [];
  const sum = { acknowledged: 0, failovers: 0 };
  const runNext = async (): Promise<void> => {
    for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) {
      const run = await new Runner({ src, folder: mkdtempSync(join(tmpdir(), `stead-fuzz-${seed}-`)) }).run(
        drawProgram(seed, profile),
      );
      for (const violation of run.violations) violations.push({ profile, seed, ...violation, program: run.lines });
      sum.acknowledged += run.acknowledged;
      sum.failovers += run.failovers;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runNext));
  return { violations, ...sum };
}

for (const first of [1, 11, 21]) {
  test(
    `whatever applications do with SQLite, nothing that was acknowledged is lost (seeds ${first} to ${first + 9})`,
    async () => {
      const { violations, acknowledged, failovers } = await runAll("usage", first, 10);
      expect(violations).toEqual([]);
      expect([acknowledged > 10, failovers > 10]).toEqual([true, true]);
    },
    timeoutMs,
  );
}

test(
  "tenants are filled, copied, renamed and made again by two processes while others write and hosts are killed",
  async () => {
    const { violations, acknowledged } = await runAll("files", 1, 10);
    expect(violations).toEqual([]);
    expect(acknowledged).toBeGreaterThan(10);
  },
  timeoutMs,
);

test("the program that a seed draws is the same each time", () => {
  expect(drawProgram(7, "usage")).toEqual(drawProgram(7, "usage"));
  expect(drawProgram(7, "usage")).not.toEqual(drawProgram(8, "usage"));
});
